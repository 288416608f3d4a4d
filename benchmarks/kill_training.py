"""Kill a small training again and again, go on each time, and compare its end with an undisturbed one's.

python benchmarks/kill_training.py --folder FOLDER
python benchmarks/kill_training.py --folder FOLDER --kills 100 --seed 7 --output kills.json

One training of the embedded sample runs to its end. Then trainings with the same configuration are killed
with SIGKILL and gone on with by `train.py --resume` until they end, as many as it takes for the wanted number
of kills. A fifth of the kills come at any moment of a process's life, the others at a random moment after it
has begun to train, half of these in the middle of the writing of a file. After each kill the checkpoint must
load. At each end all weights of `best.pt` and `last.pt`, the history, what was chosen on validation and the
figures of the report must be those of the undisturbed run, bit for bit, and `metrics.jsonl` must hold each
epoch once. Exit code 1 where they are not.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    write_figures,
)
from models.checkpoint import Checkpoint, load_checkpoint

# Some ten seconds of training, with several checkpoints a second.
SETTINGS = {
    "data.root": ROOT / "data" / "sample",
    "training.epochs": 30,
    "training.averaged_epochs": 5,
    "training.batch_size": 256,  # divided between two threads
    "training.checkpoint_minutes": 0.003,
    "model.conv_filters": "[16, 16]",
    "model.embedding_dim": 16,
    "model.lstm_units": 8,
    "model.evidence_ngrams": 2,
    "evaluation.baseline": "false",
    "evaluation.bootstrap_resamples": 0,
    "output.figures": "false",
    "output.tensorboard": "false",
}
POLL_S = 0.001
MAX_KILLS_A_TRAINING = 8
TRAINED_S = 3.0  # a process that is to be killed in training trains so long at most


class KilledTraining:
    """A training in a folder of its own, started, killed and gone on with in processes of their own.

    Parameters
    ----------
    folder
        Where it runs; made here.
    settings
        Configuration keys → values, over those of config_test.yaml.
    """

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self.folder = folder
        self.settings = settings
        folder.mkdir(parents=True)

    @property
    def run_folder(self) -> Path | None:
        """The newest run that has something to go on with; None where there is none yet."""
        found = sorted(
            path.parent for path in self.folder.glob("runs/*/last.pt") if path.parent.name != "latest"
        )
        return found[-1] if found else None

    @property
    def has_ended(self) -> bool:
        """Whether there is a report, with which there is nothing to go on with."""
        return self.run_folder is not None and (self.run_folder / "report.json").exists()

    def start(self) -> subprocess.Popen:
        """Start the training, or go on with it where there is something to go on with."""
        arguments = ["--config", str(ROOT / "config_test.yaml")]
        for key, value in self.settings.items():
            arguments += ["--set", f"{key}={value}"]
        if self.run_folder is not None:
            arguments = ["--resume", str(self.run_folder)]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments, "--device", "cpu"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.txt").open("ab"),
            env=os.environ | {"OMP_NUM_THREADS": "2"},
        )

    def finish(self) -> None:
        """Run it to its end.

        Raises
        ------
        RuntimeError
            It failed.
        """
        if not self.has_ended and (code := self.start().wait()):
            raise RuntimeError(f"ended with {code}: {(self.folder / 'stderr.txt').read_text()[-2000:]}")

    def kill(self, draw: random.Random, usual_s: float) -> str | None:
        """Start it, kill it at a moment that `draw` chooses, and say where it was; None where it had ended.

        Raises
        ------
        RuntimeError
            It failed by itself.
        """
        if self.has_ended:  # killed after it had written its report
            return None
        before, halves, saved = self.place(), set(self._half_files()), self._saved_ns()
        kind = draw.choice(["anywhere", "training", "training", "writing", "writing"])
        process = self.start()
        if kind == "anywhere":
            time.sleep(draw.uniform(0, usual_s))
        else:
            self._wait(process, lambda: self._saved_ns() != saved)
            time.sleep(draw.uniform(0, TRAINED_S))
        if kind == "writing":
            self._wait(process, lambda: set(self._half_files()) - halves)
        process.kill()
        if process.wait() > 0:
            raise RuntimeError(f"failed by itself: {(self.folder / 'stderr.txt').read_text()[-2000:]}")
        if process.returncode == 0:
            return None
        after = self.place()
        if set(self._half_files()) - halves:
            return "while a file was written"
        if after == before:
            return "before it had saved anything"
        return "after the training" if after[0] == self.settings["training.epochs"] else "in training"

    @staticmethod
    def _wait(process: subprocess.Popen, condition: Callable[[], object]) -> None:
        while process.poll() is None and not condition():
            time.sleep(POLL_S)

    def place(self) -> tuple[int, int] | None:
        """Return epoch and step of the checkpoint, which must load; None where there is none."""
        if self.run_folder is None:
            return None
        state = load_checkpoint(self.run_folder / "last.pt").trainer_state
        return state["epoch"], state["step"]

    def _saved_ns(self) -> int | None:
        """Return when the checkpoint was written last: cheaper to ask than where it stands."""
        return None if self.run_folder is None else (self.run_folder / "last.pt").stat().st_mtime_ns

    def _half_files(self) -> list[Path]:
        """Return what is, or was, being written."""
        return list(self.folder.glob("runs/*/.*.tmp"))


def differences(one: Path, two: Path) -> list[str]:
    """Return what two finished runs do not have in common that they should have, bit for bit."""
    found = []
    for name in ("best.pt", "last.pt"):
        first, second = load_checkpoint(one / name), load_checkpoint(two / name)
        found += [f"{name}: {what}" for what in _checkpoint_differences(first, second)]
    if (one / "history.json").read_bytes() != (two / "history.json").read_bytes():
        found.append("history.json")
    reports = [json.loads((path / "report.json").read_text(encoding="utf-8"))["parts"] for path in (one, two)]
    if reports[0] != reports[1]:
        found.append("report.json")
    epochs = [json.loads(line)["epoch"] for line in (two / "metrics.jsonl").read_text().splitlines()]
    if epochs != list(range(1, len(first.history["loss"]) + 1)):
        found.append(f"metrics.jsonl: epochs {epochs}")
    found += [f"left behind: {path.name}" for path in two.rglob(".*.tmp")]
    return found


def _checkpoint_differences(first: Checkpoint, second: Checkpoint) -> list[str]:
    names = first.model_state_dict.keys() | second.model_state_dict.keys()
    found = [
        f"the weight {name}"
        for name in sorted(names)
        if first.model_state_dict[name].numpy().tobytes() != second.model_state_dict[name].numpy().tobytes()
    ]
    for what in ("history", "temperature", "thresholds", "prior"):
        if getattr(first, what) != getattr(second, what):
            found.append(what)
    return found


def disturbed_training(
    folder: Path, settings: dict[str, object], kills: int, usual_s: float, draw: random.Random
) -> tuple[Path, list[str]]:
    """Kill a training up to `kills` times, run it to its end; return its run folder and where kills hit."""
    training = KilledTraining(folder, settings)
    hits: list[str] = []
    while len(hits) < kills:
        hit = training.kill(draw, usual_s)
        if hit is None:
            return training.run_folder, hits
        hits.append(hit)
    training.finish()
    return training.run_folder, hits


def main() -> int:
    """Run the undisturbed training, then disturbed ones until there were kills enough; print and write."""
    options = parse_arguments()
    draw = random.Random(options.seed)
    calm = KilledTraining(options.folder / "undisturbed", SETTINGS)
    start_s = time.perf_counter()
    calm.finish()
    usual_s = time.perf_counter() - start_s
    report = circumstances() | {"seed": options.seed, "undisturbed_s": round(usual_s, 1)}
    print_circumstances(report)
    print(f"undisturbed: {usual_s:.1f} s", flush=True)
    places: Counter[str] = Counter()
    wrong: list[str] = []
    trainings = 0
    while places.total() < options.kills:
        trainings += 1
        left = options.kills - places.total()
        folder, hits = disturbed_training(
            options.folder / f"disturbed-{trainings}",
            SETTINGS,
            min(left, MAX_KILLS_A_TRAINING),
            usual_s,
            draw,
        )
        places.update(hits)
        found = differences(calm.run_folder, folder)
        wrong += [f"training {trainings}: {what}" for what in found]
        print(f"training {trainings}: {len(hits)} kills, {len(found)} differences", flush=True)
    report |= {
        "kills": places.total(),
        "where": dict(places.most_common()),
        "trainings": trainings,
        "differences": wrong,
    }
    print(f"{places.total()} kills in {trainings} trainings: {dict(places.most_common())}")
    print("\n".join(wrong) or "every training ended as the undisturbed one, bit for bit")
    write_figures(options.output, report)
    return 1 if wrong else 0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="an empty or new folder for the trainings")
    parser.add_argument("--kills", type=positive, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
