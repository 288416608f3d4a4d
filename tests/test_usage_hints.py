"""What a slip on the command line is answered with: a line that says how it is meant."""

import pytest

import evaluate
import export
import predict
import train
from tests.test_prediction_run import ROOT, run
from utils.config import Config, load_config
from utils.config_names import setting_names
from utils.errors import ConfigError


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("logs", "logs: is a folder: --input 'logs/*' --output FOLDER/ answers its files"),
        ("my logs/", "my logs: is a folder: --input 'my logs/*' --output FOLDER/ answers its files"),
        (
            "logs/*.txt",
            "logs/*.txt: no such file; a pattern goes with a folder for the answers: --output FOLDER/",
        ),
        ("log", "log: no such file"),
    ],
)
def test_a_folder_or_a_pattern_without_a_folder_for_the_answers_is_told_how(tmp_path, source, said):
    for name in ("logs", "my logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a.com\n")
    code, out, errors = run(tmp_path, "--input", source, "--output", "out.jsonl")
    assert (code, out, errors) == (1, b"", f"predict.py: {said}\n")
    if "--output FOLDER/" in said:  # what is said works
        pattern = said.partition("--input '")[2].partition("'")[0] or source
        assert run(tmp_path, "--input", pattern, "--output", "answers/")[0] == 0
        assert (tmp_path / "answers" / "part-00000.jsonl").read_text().count("\n") == 1


def test_an_output_that_was_meant_for_a_folder_is_told_of_the_slash(tmp_path):
    code, _, errors = run(tmp_path, "--input", ".", "--output", "out")
    assert (code, errors.endswith("; a folder's ends in /\n")) == (2, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("client,time\n1,2\n", "expected a header line with exactly one of the columns"),
        ("", "is empty"),
        ("a\0b", "binary"),
    ],
)
def test_an_input_without_a_first_row_is_told_before_the_model_is_loaded(
    content, said, tmp_path, monkeypatch, capsys
):
    def load(_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(predict, "load_answerer", load)
    (tmp_path / "in.csv").write_text(content)
    (tmp_path / "model.pt").touch()
    arguments = ["--input", str(tmp_path / "in.csv"), "--checkpoint", str(tmp_path / "model.pt")]
    assert predict.main([*arguments, "--format", "csv"]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert said in errors


@pytest.mark.parametrize(
    ("content", "code", "out"),
    [
        (b"client,time\n1,2\n", 1, b""),
        (b"client,host\n", 0, b"domain,normalized,"),
        (b"client,host\n1,a.com\n", 0, b"domain,normalized,"),
    ],
)
def test_what_fails_on_a_pipe_does_not_look_like_an_empty_result(content, code, out, tmp_path):
    arguments = ["--input-format", "csv", "--format", "csv"]
    found_code, found, errors = run(tmp_path, *arguments, input=content)
    assert (found_code, found[: len(out)]) == (code, out), errors
    assert bool(found) is bool(out)
    assert found.count(b"domain,normalized,") == (code == 0)


SLIPS = [
    (predict, "--imput names.txt", "; --imput: did you mean --input?"),
    (predict, "--imput=a --ouput=b", "; --imput: did you mean --input?; --ouput: did you mean --output?"),
    (predict, "-i names.txt", "; -i: did you mean --input or --input-format?"),
    (predict, "--domain a.com", "; names come by --input FILE or a pipe: echo a.com | python predict.py"),
    (predict, "--threshold -1", "must be a number from 0 to 1. Got -1"),
    (predict, "--wholly-unheard-of x", "unrecognized arguments: --wholly-unheard-of x"),
    (train, "", "one of the arguments --config --resume is required"),
    (train, "mine.yaml", "; did you mean --config mine.yaml?"),
    (train, "--dry-run mine.YML", "; did you mean --config mine.YML?"),
    (train, "--config a.yaml b.yaml", "unrecognized arguments: b.yaml"),
    (train, "--config a.yaml --dryrun", "; --dryrun: did you mean --dry-run?"),
    (train, "--config a.yaml --set training.epochs 3", "; did you mean --set training.epochs=3?"),
    (train, "--config a.yaml --epochs 3", "; --epochs: did you mean --set training.epochs=3?"),
    (
        train,
        "--config a.yaml --learning-rate=1e-3",
        "; --learning-rate: did you mean --set training.learning_rate=1e-3?",
    ),
    (train, "--config a.yaml --epochs --dry-run", "; --epochs: did you mean --set training.epochs=…?"),
    (train, "--config a.yaml --sources x", "unrecognized arguments: --sources x"),
    (evaluate, "best.pt --output o", "required: --checkpoint; did you mean --checkpoint best.pt?"),
    (export, "--chekpoint a.pt --format onnx --output o.onnx", "; --chekpoint: did you mean --checkpoint?"),
]


@pytest.mark.parametrize(("script", "line", "said"), SLIPS, ids=[line for _, line, _ in SLIPS])
def test_a_slip_is_told_what_it_may_be_meant_for(script, line, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        script.parse_arguments(line.split())
    out, errors = capsys.readouterr()
    assert (out, errors.splitlines()[-1].endswith(said)) == ("", True), errors
    assert len(errors.splitlines()) == 1 or "did you mean" not in errors


def test_what_is_right_or_shortened_is_taken_as_ever():
    options = train.parse_arguments(["--conf", "a.yaml", "--set", "a=1", "--set=b=2", "--dry"])
    assert (str(options.config), options.set, options.dry_run) == ("a.yaml", ["a=1", "b=2"], True)


def test_every_setting_that_a_hint_may_name_can_be_set():
    names = setting_names(Config)
    assert {"training.epochs", "data.root", "model.evidence_ngrams"} <= set(names)
    assert not {"training", "data.sources", "data.sources[].path"} & set(names)
    for name in names:
        said = ""
        try:
            load_config(ROOT / "config_test.yaml", [f"{name}=1"])
        except ConfigError as error:  # of the value it may say what it likes
            said = str(error)
        assert "unknown key" not in said
