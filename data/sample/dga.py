"""The registry of domain generation algorithms in the sample.

Malware makes its rendezvous names from a date and a seed so that a blocklist cannot keep up. Each function
is our own small implementation of a published description; its docstring names the source. "Source" means
that the steps follow the description; "In the manner of" means that only the structure does (alphabet,
length, suffixes, kind of generator). None of the seeds is one seen in malware.

Every family has the signature `(seed, day, count) -> names` and depends on nothing else. Where the docstring
says "No date", the original takes none and `day` is ignored. Names are lower case without a trailing dot; a
family may repeat a name, as some originals do.
"""

from collections.abc import Callable
from datetime import date

from data.sample.dga_hashes import bamital, dyre, murofet, newgoz, padcrypt
from data.sample.dga_letters import banjori, conficker, locky, necurs, nymaim, ramnit, ranbyus, tinba, virut
from data.sample.dga_patterned import chinad, corebot, kraken, pushdo, qadars, simda
from data.sample.dga_words import gozi, matsnu, suppobox

Generator = Callable[[int, date, int], list[str]]

FAMILIES: dict[str, Generator] = {
    "bamital": bamital,
    "banjori": banjori,
    "chinad": chinad,
    "conficker": conficker,
    "corebot": corebot,
    "dyre": dyre,
    "gozi": gozi,
    "kraken": kraken,
    "locky": locky,
    "matsnu": matsnu,
    "murofet": murofet,
    "necurs": necurs,
    "newgoz": newgoz,
    "nymaim": nymaim,
    "padcrypt": padcrypt,
    "pushdo": pushdo,
    "qadars": qadars,
    "ramnit": ramnit,
    "ranbyus": ranbyus,
    "simda": simda,
    "suppobox": suppobox,
    "tinba": tinba,
    "virut": virut,
}
