"""Domain generation algorithms that put words together, with word lists of our own.

Listed in dga.py, which says what "in the manner of" means. Names like these look ordinary to a person, and
to a model that only knows letters.
"""

from datetime import date

from data.sample.random_numbers import numbers


def words(text: str) -> tuple[str, ...]:
    """Return the words of `text`; the lists below stay readable this way."""
    return tuple(text.split())


NOUNS = words(
    "anchor answer apple autumn balance basket beach bottle branch bridge budget butter button camera "
    "candle carpet castle circle clock cloud coffee corner cotton cousin danger desert dinner doctor "
    "dollar driver engine evening family farmer father feather fellow figure finger flower forest "
    "garden glass guitar hammer harbor heart history husband island jacket journey kitchen ladder "
    "language leader letter library market master meadow member metal minute mirror moment morning "
    "mother mountain nature needle number office orange painter paper partner pencil people picture "
    "pocket present promise quarter question record reason river school season shadow silver sister "
    "soldier spring station stone storm street summer sugar system table teacher theory ticket travel "
    "uncle valley village voice weather window winter woman wonder"
)
VERBS = words(
    "accept agree allow appear arrange become begin believe borrow bring build burn carry catch change "
    "choose climb collect consider continue cover cross decide deliver describe divide enter explain "
    "finish follow forget gather happen hold imagine improve include join keep laugh learn leave listen "
    "measure mention move notice offer open order paint plan pour prepare produce protect pull raise "
    "reach receive remember repeat return settle shout speak spend stand suggest support throw touch "
    "travel trust turn visit wait walk wash"
)
# The Declaration of Independence (1776, public domain): a Gozi configuration took its words from it.
DECLARATION = words(
    "when in the course of human events it becomes necessary for one people to dissolve the political "
    "bands which have connected them with another and to assume among the powers of the earth the "
    "separate and equal station to which the laws of nature and of natures god entitle them a decent "
    "respect to the opinions of mankind requires that they should declare the causes which impel them "
    "to the separation we hold these truths to be self evident that all men are created equal that they "
    "are endowed by their creator with certain unalienable rights that among these are life liberty and "
    "the pursuit of happiness that to secure these rights governments are instituted among men deriving "
    "their just powers from the consent of the governed"
)


def suppobox(seed: int, day: date, count: int) -> list[str]:
    """Join two words of one list under `net`; the seed picks the half of the list for the first word.

    In the manner of Suppobox: J. Geffner, "End-to-end analysis of a domain generating algorithm malware
    family" (Black Hat USA, 2013). The original draws from a list of 384 words by the time in units of 512 s.
    """
    draw = numbers(seed ^ (day.toordinal() << 20))
    firsts, seconds = (NOUNS, VERBS) if seed % 2 else (VERBS, NOUNS)
    return [f"{firsts[draw(len(firsts))]}{seconds[draw(len(seconds))]}.net" for _ in range(count)]


def matsnu(seed: int, day: date, count: int) -> list[str]:
    """Put nouns and verbs in turn until 12 letters are reached, some joined with hyphens, under `com`.

    In the manner of Matsnu: S. Skuratovich, "Matsnu technical report" (Check Point, 2015).
    """
    draw = numbers(seed ^ (day.toordinal() << 16))
    names = []
    for _ in range(count):
        words: list[str] = []
        while sum(map(len, words)) < 12:
            pool = VERBS if len(words) % 2 else NOUNS
            words.append(pool[draw(len(pool))])
        names.append(("-" if draw(4) == 0 else "").join(words) + ".com")
    return names


def gozi(seed: int, day: date, count: int) -> list[str]:
    """Join running words of a public text from a random place on, until 12 to 23 letters are reached.

    In the manner of Gozi (Ursnif, ISFB): GovCERT.ch, "Gozi ISFB: when a bug really is a feature" (2015). As
    in the original, a word may be cut: here to at most eight letters.
    """
    suffixes = ("com", "ru", "cn", "net", "biz")
    draw = numbers(seed ^ (day.toordinal() << 12))
    names = []
    for _ in range(count):
        target, position, name = 12 + draw(12), draw(len(DECLARATION)), ""
        while len(name) < target:
            name += DECLARATION[position % len(DECLARATION)][:8]
            position += 1 + draw(9)
        names.append(f"{name[:23]}.{suffixes[draw(len(suffixes))]}")
    return names
