"""Domain generation algorithms that print a cryptographic hash of the date in some alphabet.

Listed in dga.py, which says what "in the manner of" means. `seed` salts the hash unless stated.
"""

import hashlib
from datetime import date

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def padcrypt(seed: int, day: date, count: int) -> list[str]:
    """Print SHA-256 with letters for digits: 16 of the 11 letters "abcdefnolmk", 11 suffixes.

    Source: J. Bader, "The DGA of PadCrypt" (2016), for seed 0. The original takes no seed; another one is put
    behind the number.
    """
    suffixes = ("com", "co.uk", "de", "org", "net", "eu", "info", "online", "co", "cc", "website")
    salt = f":{seed}" if seed else ""
    names = []
    for number in range(count):
        text = f"{day.day}-{day.month}-{day.year}:{number}{salt}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        letters = "".join("abcdnfolmk"[int(digit)] if digit.isdigit() else digit for digit in digest[3:19])
        last = int(digest[-1], 16)
        names.append(f"{letters}.{suffixes[last if last < len(suffixes) else 0]}")
    return names


def dyre(seed: int, day: date, count: int) -> list[str]:
    """Print a running letter and 33 hexadecimal digits of SHA-256, eight suffixes in turn.

    In the manner of Dyre (Dyreza): Y. Yuzifovich and H. Liu, "A death match of domain generation
    algorithms" (2017), whose examples show the running letter and the suffixes.
    """
    suffixes = ("cc", "ws", "to", "in", "hk", "cn", "tk", "so")
    names = []
    for number in range(count):
        digest = hashlib.sha256(f"{day:%Y-%m-%d}{number}{seed}".encode()).hexdigest()
        names.append(f"{chr(ord('a') + number % 26)}{digest[:33]}.{suffixes[number % len(suffixes)]}")
    return names


def bamital(seed: int, day: date, count: int) -> list[str]:
    """Print the 32 hexadecimal digits of an MD5 of the date.

    In the manner of Bamital: D. Plohmann and others, "A comprehensive measurement study of domain
    generating malware" (USENIX Security, 2016).
    """
    names = []
    for number in range(count):
        text = f"{day.isoformat()} {seed} {number}"
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        names.append(f"{digest}.{('info', 'org')[number % 2]}")
    return names


def newgoz(seed: int, day: date, count: int) -> list[str]:
    """Print an MD5 in base 36: 21 to 28 letters and digits, four suffixes in turn.

    In the manner of the new Gameover Zeus: J. Bader, "The DGA of newGOZ" (2014). The original prints each of
    the four 32-bit words of its digest on its own, as here.
    """
    names = []
    for number in range(count):
        text = f"{number}{day:%Y%m%d}{seed}"
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        name = ""
        for start in range(0, 16, 4):
            word = int.from_bytes(digest[start : start + 4], "little")
            while word:
                word, digit = divmod(word, 36)
                name += BASE36[digit]
        names.append(f"{name}.{('com', 'net', 'org', 'biz')[number % 4]}")
    return names


def murofet(seed: int, day: date, count: int) -> list[str]:
    """Turn each byte of an MD5 into up to two letters, from its low and its high five bits.

    In the manner of the first Murofet (LICAT): J. Bader, "Three variants of Murofet's DGA" (2015).
    """
    names = []
    for number in range(count):
        text = f"{day.year}{day.month}{day.day}{number}{seed}"
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        letters = ""
        for byte in digest:
            low, high = chr(ord("a") + (byte & 0x1F)), chr(ord("a") + (byte >> 3))
            if low != high:
                letters += (low if low <= "z" else "") + (high if high <= "z" else "")
        names.append(f"{letters}.{('ru', 'com', 'net', 'org', 'info', 'biz')[number % 6]}")
    return names
