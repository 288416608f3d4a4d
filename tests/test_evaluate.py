"""evaluate.py as a user runs it: on new files, beside another model, and on the run's own test part."""

import json

import pytest

import evaluate
from tests.toy_domains import CLASSES, toy_domains
from utils.errors import EXIT_FAILED, EXIT_USAGE


@pytest.fixture
def files(tmp_path):
    """One text file of unseen names a class; return the --data arguments."""
    names, labels = toy_domains(240, seed=5)
    arguments = []
    for number, label in enumerate(CLASSES):
        path = tmp_path / f"{label}.txt"
        path.write_text(
            "\n".join(n for n, k in zip(names, labels, strict=True) if k == number) + "\n192.0.2.1\n"
        )
        arguments += ["--data", f"{label}={path}"]
    return arguments


def test_new_names_give_a_whole_report(tiny_checkpoint, files, tmp_path, capsys):
    output = tmp_path / "report"
    code = evaluate.main(["--checkpoint", str(tiny_checkpoint), "--output", str(output), *files])
    assert code == 0
    assert capsys.readouterr().out.strip() == str(output / "report.md")
    report = json.loads((output / "report.json").read_text())
    assert report["parts"]["test"]["n"] == 240
    assert report["parts"]["test"]["detection"]["roc_auc"] > 0.9
    assert report["data"]["dropped"] == {"ip_address": 3}
    assert (output / "figures" / "roc.png").is_file()
    assert len((output / "test_predictions.csv").read_text().splitlines()) == 241


def test_a_model_beside_itself_is_not_better(tiny_checkpoint, files, tmp_path):
    arguments = ["--checkpoint", str(tiny_checkpoint), "--compare", str(tiny_checkpoint), *files]
    assert evaluate.main([*arguments, "--output", str(tmp_path / "report")]) == 0
    comparison = json.loads((tmp_path / "report" / "report.json").read_text())["comparison"]
    assert comparison["with"] == str(tiny_checkpoint)
    assert {found["difference"] for found in comparison["differences"].values()} == {0}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "phishing"], EXIT_USAGE, "must look like CLASS=FILE"),
        (["--data", "spam=x.txt"], EXIT_USAGE, "'spam' is not a class of the model"),
        (["--data", "phishing=nowhere.txt"], EXIT_FAILED, "nowhere.txt"),
        (["--test-part", "spam"], EXIT_USAGE, "'spam' is not a class of the model"),
    ],
)
def test_what_cannot_be_judged(tiny_checkpoint, tmp_path, capsys, arguments, code, message):
    command = ["--checkpoint", str(tiny_checkpoint), "--output", str(tmp_path / "report"), *arguments]
    try:
        found = evaluate.main(command)
    except SystemExit as error:  # argparse
        found = error.code
    stderr = capsys.readouterr().err
    assert found == code, stderr
    assert message in stderr
