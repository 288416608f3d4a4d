"""The two scripts as a user runs them: train on the embedded sample, predict, compare."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLASSES = ("benign", "phishing", "malware")
# The writer rounds to six decimals; a batch of other names may move the last bit of a float32.
TOLERANCE = 2e-6


def run(
    script: str, *arguments: str, folder: Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess:
    """Run a script of the project in `folder`, as `python …/script arguments`."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        cwd=folder,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder in which a small training on the sample has run."""
    folder = tmp_path_factory.mktemp("trained")
    result = run(
        "train.py",
        *("--config", str(ROOT / "config_test.yaml"), "--set", f"data.root={ROOT / 'data' / 'sample'}"),
        *("--set", "training.epochs=5", "--set", "evaluation.bootstrap_resamples=20"),
        folder=folder,
    )
    assert result.returncode == 0, result.stderr.decode()
    return folder


@pytest.mark.slow
class TestTraining:
    def test_the_run_folder_is_complete(self, trained):
        run_folder = trained / "runs" / "latest"
        expected = (
            "best.pt config.yaml history.json last.pt manifest.json metrics.jsonl report.json report.md"
        )
        assert set(expected.split()) <= {path.name for path in run_folder.iterdir()}
        assert len(list((run_folder / "figures").glob("*.png"))) >= 5
        assert list((run_folder / "tensorboard").glob("events*"))
        assert not list(run_folder.rglob("*.tmp"))

    def test_the_model_is_far_above_the_majority_class(self, trained):
        report = json.loads((trained / "runs/latest/report.json").read_text())
        test = report["parts"]["test"]
        assert test["accuracy"] > test["majority_share"] + 0.15
        assert test["detection"]["roc_auc"] > 0.8
        assert report["baseline"]["test"]["accuracy"] > test["majority_share"]

    def test_every_drop_is_counted(self, trained):
        report = json.loads((trained / "runs/latest/report.json").read_text())
        used = sum(sum(counts.values()) for counts in report["data"]["counts"].values())
        rows = sum(len(json.loads((ROOT / "data/sample" / f"{name}.json").read_text())) for name in CLASSES)
        assert used + sum(report["data"]["dropped"].values()) == rows


@pytest.mark.slow
class TestPrediction:
    def test_predict_gives_every_probability_that_the_evaluation_saw(self, trained):
        """Raw records through predict.py equal the probabilities behind the report, for every test row."""
        with (trained / "runs/latest/test_predictions.csv").open(newline="") as file:
            seen = {row["domain"]: row for row in csv.DictReader(file)}
        compared = 0
        for name in CLASSES:
            result = run("predict.py", "--input", str(ROOT / f"data/sample/{name}.json"), folder=trained)
            assert result.returncode == 0, result.stderr.decode()
            for prediction in map(json.loads, result.stdout.splitlines()):
                row = seen.get(prediction["normalized"])
                if row is None:
                    continue
                compared += 1
                assert prediction["label"] == row["label"]
                for label in CLASSES:
                    assert prediction["probabilities"][label] == pytest.approx(
                        float(row[f"p_{label}"]), abs=TOLERANCE
                    )
        assert compared == len(seen) > 900

    def test_order_and_company_do_not_matter(self, trained):
        """One at a time = in a batch = shuffled."""
        names = [
            record["domain_name"] for record in json.loads((ROOT / "data/sample/phishing.json").read_text())
        ][:40]
        together = self.probabilities(trained, names)
        shuffled = self.probabilities(trained, random.Random(1).sample(names, len(names)))
        for name in names:
            assert shuffled[name] == pytest.approx(together[name], abs=TOLERANCE)
        for name in names[:3]:
            alone = self.probabilities(trained, [name])
            assert alone[name] == pytest.approx(together[name], abs=TOLERANCE)

    def test_case_defanging_and_urls_do_not_matter(self, trained):
        forms = [
            "github.com",
            "GITHUB.COM.",
            "hxxps[:]//github[.]com/a?b",
            "https://www.github.com:443/",
            "*.github.com",
        ]
        result = run("predict.py", folder=trained, stdin="\n".join(forms).encode())
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert [row["domain"] for row in rows] == forms
        assert len({(row["normalized"], row["label"], row["probability"]) for row in rows}) == 1

    def test_a_bad_row_is_answered_and_stops_nothing(self, trained):
        result = run(
            "predict.py",
            folder=trained,
            stdin=b"github.com\n192.0.2.1\nnot a name\n" + b"a" * 300 + b".com\nx.org\n",
        )
        assert result.returncode == 0
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert [row["error"] is None for row in rows] == [True, False, False, False, True]
        assert all(row["label"] is None and row["probabilities"] is None for row in rows if row["error"])
        assert b"5 rows, 3 without an answer" in result.stderr

    @pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
    def test_output_files(self, trained, suffix, tmp_path):
        output = tmp_path / f"out.{suffix}"
        sample = ROOT / "data/sample/unlabelled.json"
        result = run("predict.py", "--input", str(sample), "--output", str(output), folder=trained)
        assert result.returncode == 0, result.stderr.decode()
        assert result.stdout == b""
        text = output.read_text()
        if suffix == "json":
            rows = json.loads(text)
        elif suffix == "jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
        else:
            rows = list(csv.DictReader(text.splitlines()))
        assert [row["domain"] for row in rows] == [r["domain_name"] for r in json.loads(sample.read_text())]

    @staticmethod
    def probabilities(folder: Path, names: list[str]) -> dict[str, list[float]]:
        """Return name → probabilities, asked through a pipe."""
        result = run("predict.py", folder=folder, stdin="\n".join(names).encode())
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        return {row["domain"]: list(row["probabilities"].values()) for row in rows}
