"""What docs/DEPLOYMENT.md shows is what runs."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from data.feature_engineering import ALPHABET
from models.classifier import DomainClassifier
from tests.test_docs import split_document

DOCUMENT = Path(__file__).parent.parent / "docs" / "DEPLOYMENT.md"
BLOCKS = split_document(DOCUMENT)[1]


def snippet(language, kind=""):
    """Return the only block of this kind."""
    (block,) = (block for block in BLOCKS if (block.language, block.kind) == (language, kind))
    return block.text


def run_snippet(text):
    names = {}
    exec(compile(text, str(DOCUMENT), "exec"), names)
    return names


@pytest.fixture
def beside_the_model(onnx_file, monkeypatch):
    monkeypatch.chdir(onnx_file.parent)


def test_the_python_snippet_gives_the_classifiers_answers(beside_the_model, rich_checkpoint):
    names = run_snippet(snippet("python"))
    wanted = DomainClassifier.load(rich_checkpoint).classify(["example.com", "login-amber.example.org"])
    assert names["probabilities"] == pytest.approx(wanted, abs=1e-6)


def test_the_service_answers_as_predict_does(beside_the_model, rich_checkpoint, monkeypatch):
    """The web framework is no requirement: here are as many lines of one as the snippet touches."""

    class FastAPI:
        def get(self, path):
            return lambda function: function

        post = get

    fake = ModuleType("fastapi")
    fake.FastAPI, fake.Body = FastAPI, lambda **limits: None
    monkeypatch.setitem(sys.modules, "fastapi", fake)
    text = snippet("python", "service")
    assert text.count("\n") <= 30
    service = run_snippet(text)
    good, bad = json.loads(json.dumps(service["classify"](["EXAMPLE.com", "no dot"])))
    (wanted,) = DomainClassifier.load(rich_checkpoint).classify(["example.com"]).tolist()
    assert list(good["probabilities"].values()) == pytest.approx(wanted, abs=1e-5)
    assert good["normalized"] == "example.com"
    assert good["decision"] in ("allow", "review", "block")
    assert bad["error"]
    assert bad["decision"] is None


def test_the_alphabet_and_the_codes_are_those_of_the_program():
    assert re.search(r'const ALPHABET = "(.+)";', snippet("js"))[1] == ALPHABET
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"(`a` is {ALPHABET.index('a') + 2}, `.` is {ALPHABET.index('.') + 2})" in text
