"""A few hundred damaged files of each kind; benchmarks/fuzz.py does the same with tens of thousands."""

import pytest

from tests.fuzzing import KINDS, Fuzzer, Violation, damaged_file
from tests.mutations import FORMATS, valid_files
from tests.plain_readers import plain_rows
from utils.errors import EXIT_DONE, EXIT_FAILED

CASES = {"checkpoint": 60, "resealed checkpoint": 60, "yaml": 100}
CHUNKS = 2


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    return Fuzzer(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_or_answered_rightly(kind, chunk, fuzzer):
    codes = set()
    for seed in range(chunk, CASES.get(kind, 150), CHUNKS):
        try:
            codes.add(fuzzer.check(kind, damaged_file(kind, seed)))
        except Violation as violation:
            pytest.fail(f"{kind} {seed}: {violation}")
    # Some damage is harmless and some is not, but lines are answered one by one, and most bytes of a
    # checkpoint matter.
    assert EXIT_DONE in codes if kind in FORMATS or kind == "yaml" else EXIT_FAILED in codes
    assert len(codes) > 1 or kind in ("text", "jsonl", "csv", "checkpoint")


@pytest.mark.parametrize("kind", [*FORMATS, "yaml", "checkpoint"])
def test_the_files_are_valid_before_they_are_damaged(kind, fuzzer):
    for content in valid_files(kind):
        assert fuzzer.check(kind, content) == EXIT_DONE
        assert kind not in FORMATS or plain_rows(content, kind)[1] is None
