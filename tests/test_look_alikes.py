"""Look-alikes: homographs give the ASCII that they imitate, ordinary names of the world are left in peace."""

from pathlib import Path

import pytest

from data.brand_look_alikes import BRANDS, reads_as_brand
from data.domain_name import normalize_domain
from data.look_alikes import LookAlike, find_look_alikes, mixes_scripts, unicode_label
from tests.test_false_alarms import INFRASTRUCTURE, WELL_KNOWN, names_of

DATA = Path(__file__).parent / "data"

# As typed → the ASCII name that it imitates. Cyrillic, Greek, Armenian, Cherokee, accents, dotless i.
HOMOGRAPHS = {
    "аррӏе.com": "apple.com",
    "раураӏ.com": "paypal.com",
    "раураl.com": "paypal.com",
    "gооgle.com": "google.com",
    "gооgӏе.com": "google.com",
    "googlе.com": "google.com",
    "faсebook.com": "facebook.com",
    "faсebooк.com": "facebook.com",
    "miсrоsоft.com": "microsoft.com",
    "whаtsаpp.com": "whatsapp.com",
    "spotіfy.com": "spotify.com",
    "аmazon.com": "amazon.com",
    "αmazon.com": "amazon.com",
    "amazοn.com": "amazon.com",
    "facebοοk.com": "facebook.com",
    "gօօgle.com": "google.com",
    "ոetflix.com": "netflix.com",
    "yօutube.com": "youtube.com",
    "Ꮯhase.com": "chase.com",
    "bınance.com": "binance.com",
    "googĺe.com": "google.com",
    "ṃetamask.io": "metamask.io",
    "login.раypal.com": "login.paypal.com",
    "аррӏе-support.com": "apple-support.com",
    "example.gооgle.com": "example.google.com",
    "роса.com": "poca.com",
    "сосо.net": "coco.net",
}

# Umlauts, accents, whole words of one script, Japanese with Latin, a script with digits, emoji.
ORDINARY = """
bücher.de straße.de müller.at köln.de österreich.at blåbær.no smörgås.se hôtel.fr été.fr garçon.fr niño.es
ação.br šport.cz łódź.pl țară.ro ısparta.com đakovo.hr þing.is
пример.com книга.com собор.com комета.com правительство.рф новости.рф роса.ru роса.рф україна.укр україна.com
ελλάδα.gr αγορα.gr παράδειγμα.com հայաստան.am հայաստան.com საქართველო.ge
日本語.jp 日本語.com 例え.jp テスト.com googleジャパン.jp アプリstore.jp 中国.cn
中文网.com 한국.kr 한국어google.com
مثال.com فروشگاه۲۴.com उदाहरण.com ตัวอย่าง.com বাংলা.com தமிழ்.com ישראל.com ישראל24.com 💩.la
google.com paypal.com secure-login.net allcloud.com coolcloud.net
""".split()  # noqa: SIM905 - a table of names reads best as text


@pytest.mark.parametrize(("typed", "imitated"), HOMOGRAPHS.items(), ids=HOMOGRAPHS.values())
def test_a_homograph_gives_the_name_that_it_imitates(typed, imitated):
    domain = normalize_domain(typed)
    assert domain.isascii()
    look_alikes, target = find_look_alikes(domain)
    assert target == imitated
    assert look_alikes
    for look_alike in look_alikes:
        assert look_alike.reads_as in imitated
        assert not look_alike.text.isascii()


@pytest.mark.parametrize("typed", ORDINARY)
def test_an_ordinary_name_is_left_in_peace(typed):
    assert find_look_alikes(normalize_domain(typed)) == ([], None)


@pytest.mark.parametrize(
    ("label", "pairs", "imitated"),
    [
        ("paypa1", [("paypa1", "paypal")], "paypal"),
        ("paypa1-login", [("paypa1", "paypal")], "paypal-login"),
        ("rnicrosoft365", [("rnicrosoft", "microsoft")], "microsoft365"),
        ("my0utl00k", [("0utl00k", "outlook")], "myoutlook"),
        ("lnstagram-faceb00k", [("lnstagram", "instagram"), ("faceb00k", "facebook")], "instagram-facebook"),
        ("vvhatsapp", [("vvhatsapp", "whatsapp")], "whatsapp"),
        ("lcloud-help", [("lcloud", "icloud")], "icloud-help"),
        ("app1e", [("app1e", "apple")], "apple"),
        ("myapp1e", [], None),  # a short brand stands alone or not at all
        ("allcloud", [], None),
        ("paypal", [], None),
        ("burnham", [], None),
    ],
)
def test_ascii_look_alikes_of_brands(label, pairs, imitated):
    assert reads_as_brand(label) == (pairs, imitated)


@pytest.mark.parametrize("brand", BRANDS)
def test_no_brand_looks_like_another(brand):
    assert reads_as_brand(brand) == ([], None)
    assert len(brand) >= 5, "shorter ones are found everywhere"


@pytest.mark.parametrize("path", [WELL_KNOWN, INFRASTRUCTURE], ids=lambda path: path.stem)
def test_no_harmless_list_holds_a_look_alike(path):
    names = names_of(path)
    assert len(names) >= 500
    assert [name for name in names if find_look_alikes(name)[0]] == []


def test_what_an_a_label_stands_for():
    assert unicode_label("xn--bcher-kva") == "bücher"
    assert unicode_label("bcher-kva") == "bcher-kva"
    for nothing in ("xn--", "xn--google-", "xn--a-ecp", "xn--\u0444", "xn--99999999"):
        shown = unicode_label(nothing)
        assert shown == nothing or shown.isprintable()
    hidden = "xn--" + "pay\u202elap".encode("punycode").decode()
    assert unicode_label(hidden) == hidden, "direction marks would rewrite the terminal's line"


def test_scripts_that_no_language_mixes():
    assert not mixes_scripts({"Latin"})
    assert not mixes_scripts({"Latin", "Han", "Hiragana", "Katakana"})
    assert not mixes_scripts({"Latin", "Arabic"})
    assert mixes_scripts({"Latin", "Cyrillic"})
    assert mixes_scripts({"Greek", "Cyrillic"})
    assert mixes_scripts({"Arabic", "Han"})


def test_the_name_keeps_its_ascii_parts_as_they_are():
    domain = normalize_domain("a.gооgle.b.com")
    assert find_look_alikes(domain) == ([LookAlike("gооgle", "google")], "a.google.b.com")
