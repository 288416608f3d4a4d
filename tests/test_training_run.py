"""One run from its data to its report: what is refused before anything is read, and how a run goes on."""

import json
from dataclasses import replace

import pytest
import yaml

import train
from models import device
from models.checkpoint import load_checkpoint
from tests.toy_domains import CLASSES, toy_config, toy_domains
from utils.config import Config
from utils.errors import EXIT_FAILED, EXIT_USAGE


@pytest.fixture
def toy_folder(tmp_path, monkeypatch):
    """A folder, the present one, with a file of toy names for each class; returns a writer of its config."""
    monkeypatch.chdir(tmp_path)
    names, labels = toy_domains(300)
    for number, name in enumerate(CLASSES):
        chosen = [domain for domain, label in zip(names, labels, strict=True) if label == number]
        (tmp_path / f"{name}.txt").write_text("\n".join(chosen))

    def write(**sections: dict) -> None:
        config = toy_config(epochs=1)
        config = replace(
            config,
            data=replace(config.data, root=".", cache_dir=None, split="random"),
            evaluation=replace(config.evaluation, baseline=False),
            output=replace(config.output, figures=False, tensorboard=False),
        )
        for section, changes in sections.items():
            config = replace(config, **{section: replace(getattr(config, section), **changes)})
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(Config.to_dict(config)))

    return write


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"architecture": "foo"}}, "model.architecture: must be one of cnn_lstm. Got 'foo'"),
        ({"training": {"precision": "bf16"}}, "training.precision: bf16 does not work on this CPU"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_read(toy_folder, sections, message, monkeypatch, capsys):
    monkeypatch.setattr(device, "_lstm_runs_in_bfloat16", lambda _: False)
    toy_folder(**sections, data={"root": "where there is nothing to read"})
    assert train.main(["--config", "config.yaml"]) == EXIT_USAGE
    assert message in capsys.readouterr().err


def test_a_resumed_run_says_how_it_began_and_a_finished_one_is_left_alone(toy_folder, tmp_path, capsys):
    toy_folder()
    assert train.main(["--config", "config.yaml"]) == 0
    run = (tmp_path / "runs" / "latest").resolve()
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["command"], manifest["created"] = ["train.py", "--config", "the first one"], "2020-02-02"
    (run / "manifest.json").write_text(json.dumps(manifest))
    (run / "report.json").unlink()
    assert train.main(["--resume", "runs/latest"]) == 0
    report = json.loads((run / "report.json").read_text())
    assert report["run"] == manifest
    assert "the first one" in (run / "report.md").read_text()

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    capsys.readouterr()
    assert train.main(["--resume", "runs/latest"]) == EXIT_FAILED
    assert capsys.readouterr().err.endswith(f"{run}: has finished: nothing to go on with\n")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_the_dry_run_says_how_many_names_the_time_split_knows_no_date_of(toy_folder, capsys):
    toy_folder(data={"split": "time"})
    names, labels = toy_domains(600)  # phishing's are of eight registered domains: too few for three parts
    rows = [f"{name.replace('.', str(i) + '.')}" for i, name in enumerate(names) if labels[i] == 1]
    with open("phishing.txt", "w") as file:
        file.write("\n".join(row.replace(".top", f"{i}.top") for i, row in enumerate(rows)))
    assert train.main(["--config", "config.yaml", "--dry-run"]) == 0
    assert "  no date          400 names: they are split by registered domain\n" in capsys.readouterr().out


def test_a_validation_without_an_error_leaves_the_temperature_at_1_and_says_so(
    toy_folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("models.training_run.fit_temperature", lambda logits, labels: None)
    toy_folder()
    assert train.main(["--config", "config.yaml"]) == 0
    assert any("does not tell a temperature" in message for message in caplog.messages)
    assert load_checkpoint(tmp_path / "runs" / "latest" / "best.pt").temperature == 1.0
