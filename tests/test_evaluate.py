"""evaluate.py as a user runs it: on new files, beside another model, and on the run's own test part."""

import json
from dataclasses import replace

import pytest

import evaluate
from data.preprocessor import load_parts
from data.rejection import DROP_REASONS
from models.checkpoint import load_checkpoint, save_checkpoint
from tests.toy_domains import CLASSES, toy_domains
from utils.errors import EXIT_FAILED, EXIT_USAGE


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Keep the cache, which lies in the current folder, out of the project's."""
    monkeypatch.chdir(tmp_path)


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
    assert comparison["warning"] is None


@pytest.fixture
def judge(tiny_checkpoint, tmp_path):
    """Run evaluate.py on the tiny checkpoint; return report.json and the text of report.md."""

    def run(*arguments):
        output = tmp_path / "report"
        command = ["--checkpoint", str(tiny_checkpoint), "--output", str(output), *map(str, arguments)]
        assert evaluate.main(command) == 0
        return json.loads((output / "report.json").read_text()), (output / "report.md").read_text()

    return run


@pytest.fixture
def own_parts(tiny_checkpoint, tmp_path):
    """Write the files that the checkpoint's run trained on into "run_data"; return part → names."""
    folder = tmp_path / "run_data"
    folder.mkdir()
    names, labels = toy_domains(480)
    for number, label in enumerate(CLASSES):
        # The toy phishing names share eight registered domains, too few for three parts: made distinct.
        mine = [
            n.replace(".", "-", n.count(".") - 1) for n, k in zip(names, labels, strict=True) if k == number
        ]
        dropped = [mine[0], "192.0.2.9"]  # by the run, which no later report is about
        (folder / f"{label}.txt").write_text("\n".join([*mine, *dropped]))
    config = load_checkpoint(tiny_checkpoint).config.data
    return load_parts(replace(config, root=str(folder), cache_dir=None)).parts


def test_names_of_several_files_are_cleaned_like_those_of_a_training(judge, files, tmp_path):
    benign = (tmp_path / "benign.txt").read_text().split()[:2]
    (tmp_path / "more.txt").write_text("\n".join([benign[0], "brand-new.top", "brand-new.top"]))
    report, text = judge(*files, "--data", f"phishing={tmp_path / 'more.txt'}")
    assert report["parts"]["test"]["n"] == 240  # one benign name went, one phishing name came
    assert report["data"]["dropped"] == {"duplicate": 1, "in_two_classes": 2, "ip_address": 3}
    assert f"| in_two_classes | 2 | {DROP_REASONS['in_two_classes']} |" in text
    assert report["split"] == "files"
    assert "**Overlap with training was not checked:**" in text
    assert "no registered domain stands in two parts" not in text


def test_new_names_beside_old_ones_are_none_that_the_run_trained_on(judge, own_parts, tmp_path):
    old = list(own_parts["test"].only(["benign"]).domains)
    train, validation = own_parts["train"].domains, own_parts["validation"].domains
    phishing = [train[0], f"mail.{train[1]}", validation[0], old[0], "brand-new.top", "other-new.top"]
    (tmp_path / "phishing.txt").write_text("\n".join([*phishing, "brand-new.top", "192.0.2.1"]))
    (tmp_path / "benign.txt").write_text("\n".join([old[1], "quite-new.com"]))
    report, text = judge(
        *("--test-part", "benign", "--root", tmp_path / "run_data"),
        *("--data", f"phishing={tmp_path / 'phishing.txt'}", "--data", f"benign={tmp_path / 'benign.txt'}"),
    )
    assert report["data"]["counts"]["test"] == {"benign": len(old), "phishing": 2, "malware": 0}
    assert report["data"]["dropped"] == {
        "duplicate": 2,
        "in_two_classes": 2,
        "ip_address": 1,
        "registered_domain_in_training": 3,
    }
    assert (report["split"], report["split_of_test"]) == ("files_and_test", "registered_domain")
    assert "Overlap with training was checked" in text
    judged = (tmp_path / "report" / "test_predictions.csv").read_text().split()[1:]
    assert len({row.split(",")[0] for row in judged}) == len(judged) == len(old) + 2


def test_the_own_test_part_is_judged_as_it_was_split(judge, own_parts, tmp_path):
    report, text = judge("--root", tmp_path / "run_data")
    assert report["data"]["counts"]["test"] == own_parts["test"].counts()
    assert report["data"]["dropped"] == {}
    assert report["split"] == "registered_domain"
    assert "no registered domain stands in two parts" in text


@pytest.fixture
def other_checkpoint(tiny_checkpoint, tmp_path):
    """Save the tiny checkpoint with other settings: `other_checkpoint(section, **settings)`."""

    def save(section, **settings):
        checkpoint = load_checkpoint(tiny_checkpoint)
        changed = replace(getattr(checkpoint.config, section), **settings)
        checkpoint.config = replace(checkpoint.config, **{section: changed})
        checkpoint.benign_class = checkpoint.config.evaluation.benign_class
        save_checkpoint(tmp_path / "other.pt", checkpoint)
        return tmp_path / "other.pt"

    return save


def test_a_model_of_another_split_is_compared_with_a_warning(judge, files, other_checkpoint, caplog):
    other = other_checkpoint("data", seed=7, test_fraction=0.2)
    report, text = judge("--compare", other, *files)
    expected = (
        f"{other} was trained with another split "
        "(data.seed 7 instead of 0, data.test_fraction 0.2 instead of 0.1)"
    )
    assert report["comparison"]["warning"].startswith(expected)
    assert f"**Beware:** {expected}" in text
    assert [r.getMessage().startswith(expected) for r in caplog.records if r.levelname == "WARNING"] == [True]


def test_a_model_with_another_benign_class_is_not_compared(tiny_checkpoint, files, other_checkpoint, capsys):
    other = other_checkpoint("evaluation", benign_class="malware")
    command = ["--checkpoint", str(tiny_checkpoint), "--compare", str(other), "--output", "report", *files]
    assert evaluate.main(command) == EXIT_USAGE
    assert "has another benign class: malware instead of benign" in capsys.readouterr().err


def test_files_of_which_no_name_is_left_are_an_error(tiny_checkpoint, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("192.0.2.1\n")
    command = ["--checkpoint", str(tiny_checkpoint), "--output", "report", "--data", "phishing=empty.txt"]
    assert evaluate.main(command) == EXIT_FAILED
    assert "empty.txt: no name is left to judge on; dropped: 1 ip_address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "phishing"], EXIT_USAGE, "must look like CLASS=FILE"),
        (["--data", "spam=x.txt"], EXIT_USAGE, "--data spam=x.txt: 'spam' is not a class of the model"),
        (["--data", "Phising=x.txt"], EXIT_USAGE, "phishing, malware; did you mean phishing?\n"),
        (["--data", "phishing=nowhere.txt"], EXIT_FAILED, "nowhere.txt: matches no file"),
        (["--data", "x.txt=phishing"], EXIT_USAGE, "the class comes first: --data phishing=x.txt\n"),
        (["--test-part", "spam"], EXIT_USAGE, "--test-part spam: 'spam' is not a class of the model"),
    ],
)
def test_what_cannot_be_judged(tiny_checkpoint, tmp_path, capsys, arguments, code, message):
    (tmp_path / "x.txt").write_text("a.example.com\n")
    command = ["--checkpoint", str(tiny_checkpoint), "--output", str(tmp_path / "report"), *arguments]
    try:
        found = evaluate.main(command)
    except SystemExit as error:  # argparse
        found = error.code
    stderr = capsys.readouterr().err
    assert found == code, stderr
    assert message in stderr


@pytest.mark.parametrize("data", ["phishing=nowhere.txt", "x.txt=phishing"])
def test_files_that_are_not_there_are_told_before_a_model_is_looked_at(data, tmp_path, capsys):
    (tmp_path / "x.txt").write_text("a.example.com\n")
    assert evaluate.main(["--checkpoint", "absent.pt", "--output", "report", "--data", data]) != 0
    assert "absent.pt" not in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--checkpoint", "--compare"])
def test_the_state_of_a_training_is_refused_by_its_name_before_names_are_read(
    option, tiny_checkpoint, tmp_path, capsys
):
    save_checkpoint(
        tmp_path / "last.pt", replace(load_checkpoint(tiny_checkpoint), trainer_state={"epoch": 1})
    )
    (tmp_path / "broken.json").write_text("[")
    command = ["--checkpoint", str(tiny_checkpoint), "--output", "report", "--data", "phishing=broken.json"]
    assert evaluate.main([*command, option, "last.pt"]) == EXIT_FAILED
    assert "evaluate.py: last.pt: this is the state of a training" in capsys.readouterr().err
