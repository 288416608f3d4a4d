"""ASCII labels that hold a brand with characters swapped for look-alikes: `paypa1`, `rnicrosoft`.

The brands are few, often imitated, long enough to stand in no other word, and written by hand: this gives a
reason beside the model's answer, it does not find phishing. Short brands are left out, for with `1` as `l`
they are everywhere. When counted, before one brand was tightened further, 14 of 503,327 benign training names
were flagged, most of them imitations, and 1,314 of 300,000 phishing names.
"""

import re
from functools import cache

BRANDS = """
adobe airbnb alibaba aliexpress allegro amazon americanexpress apple bankofamerica barclays binance
bitfinex bitstamp blockchain booking bradesco caixabank capitalone chase citibank coinbase
commerzbank correos costco cryptocom deutschebank deutschepost discord docusign dropbox etherscan
evernote expedia facebook fidelity gemini github gitlab gmail godaddy google hotmail icloud
instagram intesasanpaolo kraken kucoin lastpass ledger linkedin lloyds mastercard mercadolibre
mercadopago messenger metamask microsoft monzo myetherwallet natwest netflix office365 onedrive
opensea outlook pancakeswap paypal phantom pinterest poloniex postbank postfinance protonmail
rakuten revolut roblox royalmail sharepoint shopify signal snapchat societegenerale sparkasse
spotify stripe swisscom swisspost telegram tiktok trezor trustwallet twitch twitter uniswap vodafone
walletconnect walmart wellsfargo westernunion whatsapp youtube zimbra
""".split()  # noqa: SIM905 - a list literal would stand on a hundred lines
_SWAPS = {"o": "[o0]", "l": "[l1i]", "i": "[i1l]", "e": "[e3]", "s": "[s5]", "a": "[a4]"}
_SWAPS |= {"m": "(?:m|rn)", "w": "(?:w|vv)"}
_LONG = 6  # from this many letters on a brand is looked for inside a word too
_AT_START = {"icloud", "aliexpress"}  # … but not these: allcloud and legalcloud end in "lcloud"


def is_brand(text: str) -> bool:
    """Tell whether a text is one of the brands."""
    return text in _brands()


def reads_as_brand(label: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return the parts of an ASCII label that read as a brand but are not, and the label that it looks like.

    Parameters
    ----------
    label
        Lower case.

    Returns
    -------
    pairs : list of (part, brand)
    imitated : str or None
        The label with each part replaced; None where there is none.
    """
    pairs = []

    def replace(match: re.Match) -> str:
        brand = _brand_of(match[0])
        if match[0] != brand:
            pairs.append((match[0], brand))
        return brand

    imitated = _pattern().sub(replace, label)
    return (pairs, imitated) if pairs else ([], None)


@cache
def _brands() -> frozenset[str]:
    return frozenset(BRANDS)


@cache
def _pattern() -> re.Pattern:
    """Match any brand with any characters swapped; a short one between hyphens or ends only."""
    alternatives = []
    for word in sorted(BRANDS, key=len, reverse=True):
        start = "" if len(word) >= _LONG and word not in _AT_START else "(?<![^-])"
        alternatives.append(f"{start}{_spellings(word)}{'' if len(word) >= _LONG else '(?![^-])'}")
    return re.compile("|".join(alternatives))


def _brand_of(text: str) -> str:
    """Return the brand that a match of `_pattern` is a spelling of."""
    return next(word for word in BRANDS if re.fullmatch(_spellings(word), text))


def _spellings(word: str) -> str:
    return "".join(_SWAPS.get(character, character) for character in word)
