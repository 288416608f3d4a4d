"""Domain generation algorithms that end in letters only, from arithmetic on 32 or 64 bits.

Listed in dga.py, which says what "in the manner of" means. Functions that take no date ignore `day`.
"""

from datetime import date

from data.sample.random_numbers import LETTERS, MASK32, MASK64, numbers

NECURS_SUFFIXES = (
    "tj in jp tw ac cm la mn so sh sc nu nf mu ms mx ki im cx cc tv bz me eu de ru co su pw kz sx us "
    "ug ir to ga com net org biz xxx pro"
)


def _rotate_right(value: int, bits: int) -> int:
    """Rotate a 32-bit value to the right."""
    value &= MASK32
    return ((value >> bits) | (value << (32 - bits))) & MASK32


def banjori(seed: int, day: date, count: int) -> list[str]:
    """Mutate the first four letters of a name, over and over; the tail never changes. No date.

    Source: J. Bader, "The DGA of Banjori" (2015). The originals start from a name inside the malware; here
    the seed picks its letters.
    """
    draw = numbers(seed)
    return banjori_from("".join(LETTERS[draw(26)] for _ in range(16 + draw(9))), count)


def banjori_from(first: str, count: int) -> list[str]:
    """Return the Banjori names that start with `first` (letters only, without the suffix)."""
    letters = [LETTERS.index(letter) for letter in first]
    names = []
    for _ in range(count):
        names.append("".join(LETTERS[letter] for letter in letters) + ".com")
        # In the original these are ASCII codes; an offset of 97 for each addend is congruent to this.
        letters[0] = (letters[0] + letters[3] + 97) % 26
        letters[1] = (letters[0] + 2 * letters[1] + 2 * 97) % 26
        letters[2] = (letters[0] + letters[2] + 97 - 1) % 26
        letters[3] = (letters[1] + letters[2] + letters[3] + 2 * 97) % 26
    return names


def ramnit(seed: int, day: date, count: int) -> list[str]:
    """Draw 8 to 19 letters a–y from the minimal-standard generator, without its correction. No date.

    Source: J. Bader, "The DGA of Ramnit" (2014); the generator is Park and Miller, "Random number
    generators: good ones are hard to find" (1988), in Schrage's form.
    """
    state = seed & MASK32

    def draw(limit: int) -> int:
        nonlocal state
        state = (16807 * (state % 127773) - 2836 * (state // 127773)) & MASK32
        return state % limit

    names = []
    for _ in range(count):
        before_length = state
        length = draw(12) + 8
        after_length = state
        names.append("".join(LETTERS[draw(25)] for _ in range(length)) + ".com")
        product = before_length * after_length
        state = (product + (product >> 32)) & MASK32
    return names


def ranbyus(seed: int, day: date, count: int) -> list[str]:
    """Draw 14 letters a–y from four shift registers: year, month, day, seed.

    In the manner of Ranbyus: J. Bader, "The DGA of Ranbyus" (2015).
    """
    suffixes = ("in", "me", "cc", "su", "tw", "net", "com", "pw", "org")
    years, months, days, key = day.year, day.month, day.day, seed & MASK32
    names = []
    for number in range(count):
        name = ""
        for _ in range(14):
            days = ((days >> 15) ^ 16 * ((days & 0x1FFF) ^ 4 * (key ^ days))) & MASK32
            years = (((years & 0xFFFFFFF0) << 17) ^ ((years ^ 7 * years) >> 11)) & MASK32
            months = (14 * (months & 0xFFFFFFFE) ^ ((months ^ 4 * months) >> 8)) & MASK32
            key = ((key >> 6) ^ (((days + 8 * key) << 8) & 0x3FFFF00)) & MASK32
            name += LETTERS[(days ^ months ^ years) % 25]
        names.append(f"{name}.{suffixes[(number + day.day) % len(suffixes)]}")
    return names


def necurs(seed: int, day: date, count: int) -> list[str]:
    """Stir 64 bits by date, number and seed: 7 to 21 letters a–y, 42 suffixes, new every four days.

    In the manner of Necurs: J. Bader, "The DGAs of Necurs" (2015). The suffix `bit`, which is outside the
    DNS, is left out.
    """
    suffixes = NECURS_SUFFIXES.split()

    def stir(value: int) -> int:
        for round_number in range((value & 0x7F) + 21):
            value += ((value * 7) ^ (value << 15)) + 8 * round_number - (value >> 5)
            value &= MASK64
        return value

    of_day = stir(stir(stir(day.year) + day.month + 43690) + (day.day >> 2))
    names = []
    for number in range(count):
        state = stir(stir(of_day + number) + seed)
        length = state % 15 + 7
        name = ""
        for position in range(length):
            state = stir(state + position)
            name += LETTERS[state % 25]
            state = (state + 0xABBEDF) & MASK64
        names.append(f"{name}.{suffixes[stir(state) % len(suffixes)]}")
    return names


def tinba(seed: int, day: date, count: int) -> list[str]:
    """Derive each 12-letter name (b–y) from the one before and a 16-character key. No date.

    In the manner of Tinba (TinyBanker): J. Bader, "Tinba's DGA adds other top level domains" (2015), which
    describes the seed domain and the key; the feedback of the name before into the next is kept.
    """
    draw = numbers(seed)
    key = [ord("0") + draw(75) for _ in range(16)]
    name = "".join(LETTERS[1 + draw(24)] for _ in range(12)) + ".com"
    names = []
    for _ in range(count):
        low, counter = key[-1], sum(key) & 0xFF
        letters = ""
        while len(letters) < 12:
            here, following = ord(name[len(letters)]), ord(name[len(letters) + 1])
            low = (((low + here) & 0xFF) ^ counter) + following & 0xFF
            if ord("a") < low < ord("z"):
                letters += chr(low)
            else:
                counter = (counter + 1) & 0xFF
        name = letters + ".com"
        names.append(name)
    return names


def nymaim(seed: int, day: date, count: int) -> list[str]:
    """Draw 5 to 12 letters and one of four suffixes from an xorshift with 128 bits of state.

    In the manner of GozNym, the Nymaim hybrid, which Cisco Talos described in 2016: xorshift, lengths and
    suffixes; the state here comes from date and seed directly. G. Marsaglia, "Xorshift RNGs" (2003).
    """
    state = [seed & MASK32, day.toordinal(), day.year * 1000 + day.timetuple().tm_yday, 0x9E3779B9]

    def draw(limit: int) -> int:
        mixed = (state[0] ^ (state[0] << 11)) & MASK32
        last = state[3]
        state[:3] = state[1:]
        state[3] = last ^ (last >> 19) ^ mixed ^ (mixed >> 8)
        return state[3] % limit

    for _ in range(32):
        draw(2)  # the first words still show the date
    suffixes = ("net", "com", "in", "pw")
    names = []
    for _ in range(count):
        length = 5 + draw(8)
        names.append("".join(LETTERS[draw(26)] for _ in range(length)) + "." + suffixes[draw(4)])
    return names


def locky(seed: int, day: date, count: int) -> list[str]:
    """Rotate and multiply 32 bits: 5 to 15 letters a–y, 14 suffixes, new every two days.

    In the manner of Locky: Forcepoint, "Locky's new DGA - seeding new domains" (2016).
    """
    suffixes = ("ru", "pw", "eu", "in", "yt", "pm", "us", "fr", "de", "it", "be", "uk", "nl", "tf")

    def mix(value: int, addend: int) -> int:
        return (_rotate_right(0xB11924E1 * (value + addend), 7) + 0x27100001) & MASK32

    names = []
    for number in range(count):
        state = mix(day.year + 0x1BF5, seed)
        state = mix(mix(state, day.day // 2), day.month)
        state = mix(state, number)
        length = state % 11 + 5
        name = ""
        for position in range(length):
            state = mix(_rotate_right(state, position % 31 + 1), 0)
            name += LETTERS[state % 25]
        names.append(f"{name}.{suffixes[mix(state, 0) % len(suffixes)]}")
    return names


def conficker(seed: int, day: date, count: int) -> list[str]:
    """Draw 5 to 11 letters and one of five suffixes from a 64-bit LCG of the date.

    In the manner of Conficker A: P. Porras, H. Saidi, V. Yegneswaran, "An analysis of Conficker's logic and
    rendezvous points" (SRI International, 2009). The original also uses floating-point sines.
    """
    suffixes = ("com", "net", "org", "info", "biz")
    state = (day.toordinal() * 0x2C6FE96EE78B6955 ^ seed * 0x64236735) & MASK64

    def draw(limit: int) -> int:
        nonlocal state
        state = (6364136223846793005 * state + 1442695040888963407) & MASK64
        return (state >> 33) % limit  # the low bits of an LCG have short periods

    return [
        "".join(LETTERS[draw(26)] for _ in range(5 + draw(7))) + "." + suffixes[draw(5)] for _ in range(count)
    ]


def virut(seed: int, day: date, count: int) -> list[str]:
    """Draw six letters and `com`, new every day.

    In the manner of Virut: D. Plohmann and others, "A comprehensive measurement study of domain generating
    malware" (USENIX Security, 2016). The generator here is the LCG of ANSI C.
    """
    state = (day.toordinal() * 0x41C64E6D + seed) & MASK32
    names = []
    for _ in range(count):
        name = ""
        for _ in range(6):
            state = (1103515245 * state + 12345) & MASK32
            name += LETTERS[(state >> 16) % 26]
        names.append(name + ".com")
    return names
