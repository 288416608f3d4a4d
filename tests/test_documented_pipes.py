"""The documents' commands on a Zeek log, run by a shell as they stand; the classifier costs nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.fake_classifier import PROGRAM
from tests.test_docs import QUICKSTART, ROOT, code_spans, split_document

FIELDS = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "trans_id",
    "rtt",
    "query",
]
FIELDS += ["qclass", "qclass_name", "qtype", "qtype_name", "rcode", "rcode_name", "AA", "TC", "RD", "RA", "Z"]
FIELDS += ["answers", "TTLs", "rejected"]
HEADER = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
    + "".join(
        "\t".join(cells) + "\n" for cells in (["#fields", *FIELDS], ["#types", *["string"] * len(FIELDS)])
    )
)
NAMES = [f"host-{number}.example.com" for number in range(14)]
# `python predict.py …` of a document is predict.py with the fake classifier.
SHELL = 'python() { "$INTERPRETER" -c "$PROGRAM" 0 "${@:2}" --checkpoint model.pt; }\n'


def row(name):
    """Return a line of a dns.log."""
    cells = dict.fromkeys(FIELDS, "-") | {"id.orig_h": "192.0.2.1", "id.resp_h": "192.0.2.53", "query": name}
    return "\t".join(cells.values()) + "\n"


def commands():
    """Return what the documents tell to do with a dns.log."""
    lines = code_spans(split_document(ROOT / "README.md")[0])
    lines += [line for block in split_document(QUICKSTART)[1] for line in block.text.splitlines()]
    found = [re.sub(r"\s+#.*", "", line) for line in lines if "dns.log" in line and "predict.py" in line]
    return list(dict.fromkeys(found))


def start(folder, command):
    (folder / "dns.log").write_text(HEADER + "".join(map(row, NAMES)))
    (folder / "model.pt").touch()
    return subprocess.Popen(
        [shutil.which("bash"), "-c", SHELL + command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "INTERPRETER": sys.executable, "PROGRAM": PROGRAM},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def name_in(line):
    """Return the name of a row of output, JSON Lines or table, or why there is none."""
    if line.startswith("{"):
        answer = json.loads(line)
        return answer["normalized"] or answer["error"]
    return line.split()[-1]


def test_the_documents_show_a_file_a_pipe_and_a_log_as_it_grows():
    assert {command.split()[0] for command in commands()} == {"python", "grep", "tail"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a POSIX shell")
@pytest.mark.parametrize("command", commands())
def test_a_documented_command_answers_every_query_of_a_zeek_log(tmp_path, command):
    process = start(tmp_path, command)
    if not command.startswith("tail"):
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        if ">" in command:
            out = (tmp_path / command.rpartition(">")[2].strip()).read_text()
        assert [name_in(line) for line in out.splitlines()] == NAMES
        return
    wanted = NAMES if "-n +1" in command else NAMES[-10:]
    rows = iter(line for line in process.stdout if not line.startswith("decision"))
    try:
        assert [name_in(next(rows)) for _ in wanted] == wanted
        with (tmp_path / "dns.log").open("a") as log:
            log.write(row("later.example.com"))
        assert name_in(next(rows)) == "later.example.com"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_cut_without_grep_says_what_to_do(tmp_path):
    process = start(tmp_path, "cut -f10 dns.log | python predict.py")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "expected a line that begins with #fields" in errors
    assert "grep -v '^#'" in errors
