"""Train a classifier of malicious domain names, evaluate it and write a run folder.

python train.py --config config_test.yaml                       the embedded sample, a minute
python train.py --config config.yaml                            the Zenodo files
python train.py --config config.yaml --set data.root=/data --set training.epochs=20
python train.py --config config.yaml --dry-run                  check configuration and data, one step
python train.py --resume auto                                   the run that was interrupted last
"""

import argparse
import logging
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.config import Config, load_config
from utils.errors import EXIT_DONE, EXIT_INTERRUPTED, ConfigError, UserError
from utils.run_folder import RunFolder, interrupted_run, run_of
from utils.signals import stop_on_signal
from utils.versions import versions

if TYPE_CHECKING:  # torch takes two seconds to import: a usage error must not wait for it
    import numpy as np
    import torch

    from models.checkpoint import Checkpoint
    from utils.run_report import PartScores

logger = logging.getLogger("train")

DRY_RUN_RECORDS = 20_000


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Train a classifier of malicious domain names, evaluate it and write a run folder.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 130 interrupted.",
    )
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML; every key is explained in config.yaml"
    )
    start.add_argument(
        "--resume", metavar="RUN", help="a run folder, its last.pt, or auto: the newest unfinished run"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. training.epochs=3; repeatable"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything on a sample of each file, train one step, write nothing",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    try:
        if options.dry_run:
            dry_run(load_config(options.config, options.set), options.device)
            return EXIT_DONE
        if options.resume:
            folder = resume(options)
        else:
            folder = start(load_config(options.config, options.set), options.device)
    except UserError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("train.py: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(folder.path)
    return EXIT_DONE


def start(config: Config, device_name: str) -> RunFolder:
    """Begin a new run."""
    run = TrainingRun(config, device_name)
    folder = RunFolder.create(Path(config.output.directory), config.output.name, datetime.now())
    folder.write_config(config)
    folder.write_json("manifest.json", run.manifest())
    run.fit(folder, None)
    run.report(folder)
    return folder


def resume(options: argparse.Namespace) -> RunFolder:
    """Go on with an interrupted run, in its own folder and with its own configuration."""
    if options.set:
        raise ConfigError("--set goes with --config: a resumed run keeps its configuration")
    folder = interrupted_run(Path("runs")) if options.resume == "auto" else run_of(Path(options.resume))
    from models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder.last)
    if checkpoint.trainer_state is None:
        raise ConfigError(f"{folder.last}: holds no training to go on with")
    run = TrainingRun(checkpoint.config, options.device)
    run.require_same_data(folder)
    run.fit(folder, checkpoint.trainer_state)
    run.report(folder)
    return folder


def dry_run(config: Config, device_name: str) -> None:
    """Show what would be trained, and run one step of training and of validation."""
    run = TrainingRun(config, device_name, limit=DRY_RUN_RECORDS)
    history = run.one_step()
    print(f"data (at most {DRY_RUN_RECORDS:,} records of each file):")
    for name, counts in run.data.counts().items():
        print(f"  {name:<11}" + "".join(f"{count:>9,} {label}" for label, count in counts.items()))
    for reason, count in run.data.drops.items():
        print(f"  dropped    {count:>9,} {reason}")
    print(f"one step: loss {history['loss'][0]:.4f}, validation loss {history['val_loss'][0]:.4f}")
    print("dry run: nothing was written")


class TrainingRun:
    """The parts of the data, the model, and the steps from one to the other.

    With `limit`, only so many records of each file are read.
    """

    def __init__(self, config: Config, device_name: str, limit: int | None = None) -> None:
        import torch

        from data.feature_engineering import NUM_CODES
        from data.preprocessor import load_parts
        from models.cnn_lstm_model import CNN_LSTM_Model
        from models.device import resolve_device

        self.config = config
        self.device, reason = resolve_device(device_name)
        logger.info("device %s (%s)", self.device, reason)
        self.data = load_parts(config.data, limit=limit)
        self.classes = config.data.classes
        self.benign_index = self.classes.index(config.evaluation.benign_class)
        for name, part in self.data.parts.items():
            logger.info(
                "%s: %s", name, ", ".join(f"{count:,} {label}" for label, count in part.counts().items())
            )
        torch.manual_seed(config.training.seed)
        self.model = CNN_LSTM_Model(NUM_CODES, len(self.classes), config)
        logger.info("model with %s weights", f"{sum(p.numel() for p in self.model.parameters()):,}")

    def manifest(self) -> dict[str, Any]:
        """Return what this run was made of."""
        return {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": sys.argv,
            "device": str(self.device),
            "versions": versions(),
            "seeds": {"data": self.config.data.seed, "training": self.config.training.seed},
            "classes": list(self.classes),
            "data": {
                "counts": self.data.counts(),
                "dropped": self.data.drops,
                "files": self.data.fingerprints,
            },
        }

    def require_same_data(self, folder: RunFolder) -> None:
        """Raise where the files are no longer those that the run started with."""
        before = folder.read_json("manifest.json")["data"]
        if before["files"] != self.data.fingerprints or before["counts"] != self.data.counts():
            raise ConfigError(
                f"{folder.path}: cannot go on: the data files have changed since the run started"
            )

    def codes(self, part: str) -> "np.ndarray":
        """Return the character codes (N, T) of a part."""
        from data.feature_engineering import encode_domains

        return encode_domains(self.data.parts[part].domains, self.config.data.max_length)

    # ------------------------------------------------------------------ training

    def one_step(self) -> dict[str, list[float]]:
        """Train on one batch and validate on one, and return the history."""
        from models.model_trainer import ModelTrainer

        training = replace(self.config.training, epochs=1, early_stopping_metric="val_loss")
        trainer = ModelTrainer(self.model, replace(self.config, training=training), self.device)
        rows = slice(0, training.batch_size)
        batches = [
            (self.codes(part)[rows], self.data.parts[part].labels[rows]) for part in ("train", "validation")
        ]
        return trainer.train(*batches[0], *batches[1])

    def fit(self, folder: RunFolder, trainer_state: dict[str, Any] | None) -> None:
        """Train, calibrate on validation, and write `best.pt`."""
        import numpy as np

        from data.preprocessor import class_weights
        from models.checkpoint import save_checkpoint
        from models.model_trainer import ModelTrainer
        from models.training_log import TrainingLog

        train, validation = self.data.parts["train"], self.data.parts["validation"]
        weights = class_weights(train.labels, self.classes, self.config.training.class_weights)
        tensorboard = folder.tensorboard if self.config.output.tensorboard else None
        with TrainingLog(folder.metrics, tensorboard, self.config.training.epochs) as log:
            log.add_text("config", (folder.path / "config.yaml").read_text(encoding="utf-8"))
            trainer = ModelTrainer(
                self.model,
                self.config,
                self.device,
                metrics=self._detection_metrics,
                on_epoch_end=log.epoch_ended,
                on_checkpoint=lambda state: save_checkpoint(
                    folder.last, self._checkpoint(state["history"], state)
                ),
            )
            if trainer_state is not None:
                trainer.load_state_dict(trainer_state)
            with stop_on_signal(trainer):
                self.history = trainer.train(
                    self.codes("train"),
                    train.labels,
                    codes_val := self.codes("validation"),
                    validation.labels,
                    class_weights=weights,
                )
        # A weighted loss shifts the logits by log(weight): taken off, probabilities refer to the data's own
        # class shares, which the checkpoint states as its prior.
        self.model.shift_logits(-np.log(weights))
        self.checkpoint = self._checkpoint(self.history)
        self._calibrate(self._logits(codes_val), validation.labels)
        save_checkpoint(folder.best, self.checkpoint)
        folder.write_json("history.json", self.history)

    def _detection_metrics(self, labels: "np.ndarray", logits: "torch.Tensor") -> dict[str, float]:
        """Judge an epoch on validation."""
        from models.classifier import probabilities_from_logits
        from utils.evaluation import validation_metrics

        return validation_metrics(labels, probabilities_from_logits(logits), self.benign_index)

    def _calibrate(self, logits: "torch.Tensor", labels: "np.ndarray") -> None:
        """Choose temperature and thresholds on validation and put them into the checkpoint."""
        from models.classifier import probabilities_from_logits
        from utils.calibration import fit_temperature
        from utils.evaluation import thresholds_at_fpr

        checkpoint, benign = self.checkpoint, self.config.evaluation.benign_class
        if self.config.evaluation.calibrate:
            checkpoint.temperature = float(fit_temperature(logits.numpy(), labels))
        probabilities = probabilities_from_logits(logits, checkpoint.temperature)
        checkpoint.thresholds = thresholds_at_fpr(labels, probabilities, self.classes, benign=benign)
        logger.info("temperature %.3f, thresholds %s", checkpoint.temperature, checkpoint.thresholds)

    def _checkpoint(
        self, history: dict[str, list[float]], state: dict[str, Any] | None = None
    ) -> "Checkpoint":
        """Return a checkpoint of the model as it is now; with `state` the training can go on from it."""
        from models.checkpoint import Checkpoint

        counts = self.data.counts()["train"]
        return Checkpoint(
            model_state_dict={name: tensor.cpu() for name, tensor in self.model.state_dict().items()},
            config=self.config,
            history=history,
            classes=self.classes,
            benign_class=self.config.evaluation.benign_class,
            max_length=self.config.data.max_length,
            prior={name: count / sum(counts.values()) for name, count in counts.items()},
            metadata=self.manifest(),
            trainer_state=state,
        )

    def _logits(self, codes: "np.ndarray") -> "torch.Tensor":
        from models.batching import predict_logits

        return predict_logits(self.model, codes, self.config.training.batch_size, self.device)

    # ------------------------------------------------------------------ evaluation

    def report(self, folder: RunFolder) -> None:
        """Judge validation and test, draw the figures, write the report, and point `latest` here."""
        from utils.report_markdown import render_report
        from utils.run_report import Judge, scores_csv

        scores = {name: self._score(name) for name in ("validation", "test")}
        judge = Judge(self.classes, self.checkpoint.thresholds, self.config.evaluation, self.config.data.seed)
        train = self.data.parts["train"]
        report = {
            "run": self.manifest(),
            "classes": list(self.classes),
            "benign": self.config.evaluation.benign_class,
            "data": {"counts": self.data.counts(), "dropped": self.data.drops},
            "split": self.config.data.split,
            "prior": self.checkpoint.prior,
            "temperature": self.checkpoint.temperature,
            **judge.report(scores),
            "shortcuts": judge.audit(train.domains, train.labels, scores["test"]),
            "baseline": None,
        }
        baseline_scores = None
        if self.config.evaluation.baseline:
            logger.info("training the baseline: TF-IDF of 1 to 4 characters and logistic regression")
            report["baseline"], baseline_scores = judge.compare_baseline(
                train.domains, train.labels, scores["test"]
            )
        folder.write_text("test_predictions.csv", scores_csv(scores["test"], self.classes))
        folder.write_json("report.json", report)
        folder.write_text("report.md", render_report(report))
        if self.config.output.figures:
            self._draw(folder, report, scores["test"], baseline_scores)
        folder.mark_latest()
        logger.info("report %s", folder.path / "report.md")

    def _score(self, part: str) -> "PartScores":
        """Run the model over a part."""
        from data.slices import slice_masks
        from models.classifier import probabilities_from_logits
        from utils.run_report import PartScores

        data = self.data.parts[part]
        logits = self._logits(self.codes(part))
        return PartScores(
            domains=data.domains,
            labels=data.labels,
            groups=data.groups,
            families=data.family_names(),
            slices=slice_masks(data.domains),
            probabilities=probabilities_from_logits(logits, self.checkpoint.temperature),
            uncalibrated=probabilities_from_logits(logits),
        )

    def _draw(
        self, folder: RunFolder, report: dict[str, Any], test: "PartScores", baseline: "np.ndarray | None"
    ) -> None:
        """Write the figures of the test part."""
        from utils.visualization import save_figures

        save_figures(
            folder.figures,
            history=self.history,
            report=report["parts"]["test"],
            labels=test.labels,
            probabilities=test.probabilities,
            baseline=baseline,
            uncalibrated=report["uncalibrated"]["test"],
        )


if __name__ == "__main__":
    sys.exit(main())
