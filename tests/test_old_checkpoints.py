"""Checkpoints of every format version keep loading and answer what they always answered.

The files lie in tests/data/checkpoints/, each as the program of its time wrote it.
"""

from pathlib import Path

import pytest

from models.checkpoint import FORMAT_VERSION
from models.classifier import DomainClassifier

FOLDER = Path(__file__).parent / "data" / "checkpoints"
ANSWERS = {
    1: {
        "amberbasin7.com": [0.42413, 0.56275, 0.01312],
        "login-cedar-12.verify.top": [0.39726, 0.5958, 0.00694],
        "q0x7zk3vbd9.xyz": [0.00048, 0.00026, 0.99926],
        "xn--e1afmkfd.example": [0.39725, 0.59475, 0.00801],
    },
    2: {
        "amberbasin7.com": [0.99808, 0.00178, 0.00015],
        "login-cedar-12.verify.top": [0.00145, 0.99844, 0.00011],
        "q0x7zk3vbd9.xyz": [2e-05, 2e-05, 0.99996],
        "xn--e1afmkfd.example": [0.00177, 0.99795, 0.00028],
    },
}


def test_there_is_a_file_of_every_version():
    versions = range(1, FORMAT_VERSION + 1)
    assert {path.name for path in FOLDER.glob("*.pt")} == {f"version-{number}.pt" for number in versions}
    assert set(ANSWERS) == set(versions)
    assert all(path.stat().st_size < 200_000 for path in FOLDER.glob("*.pt"))


@pytest.mark.parametrize("version", ANSWERS)
def test_an_old_checkpoint_answers_as_it_always_did(version):
    classifier = DomainClassifier.load(FOLDER / f"version-{version}.pt")
    names, answers = list(ANSWERS[version]), list(ANSWERS[version].values())
    # Five decimals stand above; another processor or version of PyTorch may move the last one.
    assert abs(classifier.classify(names) - answers).max() < 2e-5


def test_what_stands_beside_the_weights_of_version_1_is_kept():
    checkpoint = DomainClassifier.load(FOLDER / "version-1.pt").checkpoint
    assert checkpoint.classes == ("benign", "phishing", "malware")
    assert checkpoint.benign_class == "benign"
    assert checkpoint.temperature == 1.25
    assert checkpoint.thresholds == {"0.01": 0.75, "0.001": 0.9, "0.0001": None}
    assert checkpoint.prior == {"benign": 0.5, "phishing": 0.25, "malware": 0.25}
    assert checkpoint.max_length == 40
    assert len(checkpoint.history["loss"]) == 8
