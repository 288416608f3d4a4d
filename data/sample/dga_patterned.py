"""Domain generation algorithms with a pattern: syllables, digits among letters, dynamic-DNS zones.

Listed in dga.py, which says what "in the manner of" means. Functions that take no date ignore `day`.
"""

from datetime import date

from data.sample.random_numbers import LETTERS, MASK32, numbers

DIGITS = "0123456789"


def corebot(seed: int, day: date, count: int) -> list[str]:
    """Draw 12 to 23 letters and digits (no z, no 9) under the dynamic-DNS zone ddns.net, new every week.

    Source: J. Bader, "The DGA of CoreBot" (2015); the generator is the LCG of "Numerical Recipes".
    """
    alphabet = LETTERS[:25] + DIGITS[:9]
    week = min(day.day // 7, 3) * 7 + 1
    state = (seed + day.year + (day.month << 8 | week)) & MASK32

    def draw(limit: int) -> int:
        nonlocal state
        state = (1664525 * state + 1013904223) & MASK32
        return state % limit

    names = []
    for _ in range(count):
        length = 12 + draw(12)
        names.append("".join(alphabet[draw(len(alphabet))] for _ in range(length)) + ".ddns.net")
    return names


def simda(seed: int, day: date, count: int) -> list[str]:
    """Alternate consonants and vowels over 7 to 11 letters; one of three suffixes a seed. No date.

    In the manner of Simda (also called Shiz): D. Plohmann and others, "A comprehensive measurement study of
    domain generating malware" (USENIX Security, 2016).
    """
    consonants, vowels = "qwrtpsdfghjklzxcvbnm", "eyuioa"
    draw = numbers(seed)
    suffix = ("com", "info", "eu")[draw(3)]
    length = 7 + draw(5)
    names = []
    for _ in range(count):
        letters = ((vowels[draw(6)] if position % 2 else consonants[draw(20)]) for position in range(length))
        names.append("".join(letters) + "." + suffix)
    return names


def kraken(seed: int, day: date, count: int) -> list[str]:
    """Draw 6 to 11 letters under four free dynamic-DNS zones. No date.

    In the manner of the first Kraken (Oderoor, Bobax): J. Bader, "Kraken's two domain generation
    algorithms" (2015). The generator is the LCG of ANSI C.
    """
    zones = ("dyndns.org", "yi.org", "mooo.com", "dynserv.com")
    state = seed & MASK32

    def draw(limit: int) -> int:
        nonlocal state
        state = (1103515245 * state + 12345) & MASK32
        return ((state >> 16) & 0x7FFF) % limit

    names = []
    for number in range(count):
        length = 6 + draw(6)
        names.append("".join(LETTERS[draw(26)] for _ in range(length)) + "." + zones[number % len(zones)])
    return names


def chinad(seed: int, day: date, count: int) -> list[str]:
    """Draw 16 letters and digits and one of seven suffixes, new every day.

    In the manner of Chinad: Netlab 360, the public collection "DGA" (2017).
    """
    suffixes = ("com", "org", "net", "biz", "info", "ru", "cn")
    alphabet = LETTERS + DIGITS
    draw = numbers(seed ^ (day.toordinal() << 32))
    names = []
    for _ in range(count):
        name = "".join(alphabet[draw(36)] for _ in range(16))
        names.append(name + "." + suffixes[draw(len(suffixes))])
    return names


def qadars(seed: int, day: date, count: int) -> list[str]:
    """Draw 12 characters from letters and digits that alternate in runs, new every week.

    In the manner of Qadars: J. Bader, "The DGA of Qadars" (2016): one LCG step a character, and the
    character is the state modulo 36.
    """
    state = (seed + day.toordinal() // 7) & 0x7FFFFFFF
    names = []
    for _ in range(count):
        name = ""
        for _ in range(12):
            state = (1103515245 * state + 12345) & 0x7FFFFFFF
            name += (DIGITS + LETTERS)[(state >> 7) % 36]
        names.append(name + "." + ("com", "org", "net")[(state >> 9) % 3])
    return names


def pushdo(seed: int, day: date, count: int) -> list[str]:
    """String two-letter syllables and single consonants together to 9 to 12 letters under `kz`.

    In the manner of Pushdo's variant of 2013: Damballa, Dell SecureWorks and Georgia Tech, "Unveiling the
    latest variant of Pushdo" (2013).
    """
    vowels, consonants = "aeiou", "bcdfghjklmnpqrstvwxz"
    draw = numbers(seed ^ (day.toordinal() << 24))
    names = []
    for _ in range(count):
        length, name = 9 + draw(4), ""
        while len(name) < length:
            name += consonants[draw(20)] + vowels[draw(5)]
            if draw(3) == 0:
                name += consonants[draw(20)]
        names.append(name[:length] + ".kz")
    return names
