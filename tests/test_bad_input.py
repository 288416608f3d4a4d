"""Every kind of bad input: one clear line on stderr, the right exit code, no traceback."""

import gzip
import json

import pytest
import yaml

import train
from tests.test_end_to_end import ROOT
from utils.errors import EXIT_FAILED, EXIT_USAGE

GOOD = [f"name{i}.example{i}.com" for i in range(60)]


def array(names: list) -> bytes:
    """Return a Zenodo-shaped JSON array."""
    return json.dumps([{"domain_name": name} for name in names]).encode()


def jsonl(names: list) -> bytes:
    """Return JSON Lines."""
    return b"".join(json.dumps({"domain_name": name}).encode() + b"\n" for name in names)


@pytest.fixture
def trained_with(tmp_path, capsys, monkeypatch):
    """Run train.py where the phishing file holds the given bytes; return exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((ROOT / "config_test.yaml").read_text())
    config["data"]["root"] = str(tmp_path)

    def go(content: bytes | None, name: str = "phishing.json", **data: object) -> tuple[int, str]:
        (tmp_path / "benign.json").write_bytes(array([f"good{i}.example-{i}.org" for i in range(60)]))
        (tmp_path / "malware.json").write_bytes(array([f"bad{i}.example-{i}.net" for i in range(60)]))
        if content is not None:
            (tmp_path / name).write_bytes(content)
        sources = [{"path": p, "label": p.split(".")[0]} for p in ("benign.json", name, "malware.json")]
        config["data"] |= {"sources": sources, **data}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        code = train.main(["--config", str(tmp_path / "config.yaml"), "--dry-run"])
        return code, capsys.readouterr().err

    return go


def test_the_good_case_passes(trained_with):
    code, _ = trained_with(array(GOOD))
    assert code == 0


CASES = {
    "empty file": (b"", "phishing.json", "empty"),
    "white space only": (b" \n\n ", "phishing.json", "phishing.json"),
    "truncated array": (array(GOOD)[:-30], "phishing.json", "phishing.json, "),
    "not JSON": (b"[this is not JSON]", "phishing.json", "phishing.json, "),
    "no records": (b"[]", "phishing.json", "holds no record"),
    "an object that is no record": (b'{"a": 1}', "phishing.json", "phishing.json"),
    "a number": (b"42", "phishing.json", "phishing.json"),
    "array of numbers": (json.dumps(list(range(100))).encode(), "phishing.json", "phishing"),
    "array of other objects": (json.dumps([{"a": 1}] * 50).encode(), "phishing.json", "phishing"),
    "binary": (bytes(range(256)) * 20, "phishing.json", "phishing.json"),
    "a broken line": (jsonl(GOOD[:20]) + b"{oops}\n" + jsonl(GOOD[20:]), "phishing.jsonl", "line 21"),
    "names of 300 characters": (array(["a" * 300 + ".com"] * 50), "phishing.json", "too_long"),
    "no class member is a name": (array(["192.0.2.1", "localhost", ""]), "phishing.json", "ip_address"),
    "broken gzip": (gzip.compress(array(GOOD))[:-20], "phishing.json.gz", "phishing.json.gz"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_data_files(case, trained_with):
    content, name, expected = CASES[case]
    code, stderr = trained_with(content, name)
    message = stderr.strip().splitlines()[-1]
    assert code == EXIT_FAILED, stderr
    assert message.startswith("train.py: ")
    assert expected in message
    assert "Traceback" not in stderr


def test_a_missing_file(trained_with):
    code, stderr = trained_with(None)
    assert code == EXIT_FAILED
    assert "source 'phishing.json' (phishing) matches no file" in stderr


def test_a_class_that_no_source_has(trained_with):
    code, stderr = trained_with(array(GOOD), classes=["benign", "phishing", "malware", "spam"])
    assert code == EXIT_USAGE
    assert "no source has the label spam" in stderr


def test_a_wrong_label(trained_with):
    code, stderr = trained_with(array(GOOD), classes=["benign", "malware"])
    assert code == EXIT_USAGE
    assert "'phishing' is not in data.classes" in stderr


def test_a_missing_configuration(capsys):
    assert train.main(["--config", "nowhere.yaml"]) == EXIT_USAGE
    assert "nowhere.yaml: no such configuration file" in capsys.readouterr().err


def test_a_device_that_is_not_there(trained_with, capsys, tmp_path):
    trained_with(array(GOOD))
    assert train.main(["--config", str(tmp_path / "config.yaml"), "--device", "cuda:77"]) == EXIT_USAGE
    assert "cuda:77" in capsys.readouterr().err
