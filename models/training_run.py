"""One training run from its data to its report: what `train.py` does once the command line is read.

The only module of this folder that knows all the others: data, trainer, calibration, evaluation, files.
"""

import hashlib
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.feature_engineering import encode_domains
from data.preprocessor import PreparedData, class_weights, load_parts
from data.rejection import DROP_REASONS
from models.allocator import keep_freed_memory
from models.architectures import build_model
from models.base_classifier import probabilities_from_logits
from models.batching import predict_logits
from models.checkpoint import Checkpoint, save_checkpoint
from models.classifier import DomainClassifier
from models.device import resolve_device, uses_bfloat16
from models.evidence_fit import EvidenceTables, evidence_folds, fit_evidence
from models.model_trainer import ModelTrainer, TrainingStopped
from models.scoring import score_names
from models.training_log import TrainingLog
from utils.calibration import fit_temperature
from utils.config import Config
from utils.decision import describe_thresholds
from utils.errors import ConfigError, DataError
from utils.evaluation import thresholds_at_fpr, validation_metrics
from utils.processes import OneProcess
from utils.report_files import write_report
from utils.run_folder import RunFolder
from utils.run_report import Judge
from utils.signals import stop_on_signal
from utils.versions import versions

logger = logging.getLogger(__name__)


class TrainingRun:
    """The parts of the data, the model, and the steps from one to the other.

    With `limit`, only so many records of each file are read. `processes` are those that train together: all
    of them have the data and call `fit`, the first one alone calls what comes after.
    """

    def __init__(
        self,
        config: Config,
        device_name: str,
        limit: int | None = None,
        processes: OneProcess | None = None,
    ) -> None:
        self.config = config
        self.processes = processes or OneProcess()
        self.device, reason = resolve_device(device_name)
        keep_freed_memory()
        logger.info("device %s (%s)", self.device, reason)
        if self.processes.size > 1:
            logger.info("one of %d processes", self.processes.size)
        self.classes = config.data.classes
        self.benign_index = self.classes.index(config.evaluation.benign_class)
        # Before the data, which may take minutes: whatever of the configuration cannot be is told here.
        uses_bfloat16(config.training.precision, self.device)
        torch.manual_seed(config.training.seed)
        self.model = build_model(len(self.classes), config)
        logger.info("model with %s weights", f"{sum(p.numel() for p in self.model.parameters()):,}")
        self.data = self._load_parts(limit)
        for name, part in self.data.parts.items():
            logger.info(
                "%s: %s", name, ", ".join(f"{count:,} {label}" for label, count in part.counts().items())
            )
        self.facts = self._facts()

    def _load_parts(self, limit: int | None) -> PreparedData:
        """Give every process the data; with a cache, only one process of each machine reads the files.

        Raises
        ------
        DataError
            The processes, on machines with files of their own, do not have the same names.
        """
        config = self.config.data
        if config.cache_dir is None or limit is not None:
            data = load_parts(config, limit=limit)
        else:
            data = self.processes.machine_by_machine(lambda: load_parts(config))
        digest = hashlib.sha256()
        for name in ("train", "validation"):
            digest.update(data.parts[name].hashes.tobytes() + data.parts[name].labels.tobytes())
        digests = self.processes.collect(digest.digest())
        for rank, other in enumerate(digests):
            if other != digests[0]:
                raise DataError(config.root, f"process {rank} found other names here than process 0")
        return data

    def _facts(self) -> dict[str, Any]:
        """Return what this run is made of: the manifest."""
        return {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": sys.argv,
            "device": str(self.device),
            "processes": self.processes.size,
            "job": self.processes.launch and self.processes.launch.job,
            "versions": versions(),
            "seeds": {"data": self.config.data.seed, "training": self.config.training.seed},
            "classes": list(self.classes),
            "data": {
                "counts": self.data.counts(),
                "dropped": self.data.drops,
                "files": self.data.fingerprints,
            },
        }

    def go_on_with(self, folder: RunFolder) -> None:
        """Take over what a run's manifest says of how it began; raise where its data are others by now."""
        manifest = folder.read_json("manifest.json")
        before = manifest["data"]
        if before["files"] != self.data.fingerprints or before["counts"] != self.data.counts():
            raise ConfigError(
                f"{folder.path}: cannot go on: the data files have changed since the run started"
            )
        self.facts = manifest

    def codes(self, part: str) -> np.ndarray:
        """Return the character codes (N, T) of a part."""
        return encode_domains(self.data.parts[part].domains, self.config.data.max_length)

    # ------------------------------------------------------------------ training

    def one_step(self) -> dict[str, list[float]]:
        """Train on one batch and validate on one, and return the history."""
        training = replace(self.config.training, epochs=1)
        trainer = ModelTrainer(
            self.model,
            replace(self.config, training=training),
            self.device,
            metrics=self._detection_metrics,
            processes=self.processes,
        )
        batches = []
        for name in ("train", "validation"):  # rows are in the order of the files: draw some of every class
            labels, codes = self.data.parts[name].labels, self.codes(name)
            rows = np.random.default_rng(training.seed).permutation(len(labels))[: training.batch_size]
            batches += [codes[rows], labels[rows]]
        weights = class_weights(self.data.parts["train"].labels, self.classes, training.class_weights)
        return trainer.train(*batches, class_weights=weights)

    def _prepare_evidence(self, folder: RunFolder) -> np.ndarray | None:
        """Give the network its n-gram evidence, fitted or from the run's folder; return the names' folds."""
        evidence = getattr(self.model, "evidence", None)
        if evidence is None:
            return None
        train, sizes = self.data.parts["train"], self.config.model
        folds = evidence_folds(train.groups, sizes)

        def tables() -> EvidenceTables:
            if folder.evidence.exists():
                return EvidenceTables.load(folder.evidence)
            fitted = fit_evidence(self.codes("train"), train.labels, folds, len(self.classes), sizes)
            fitted.save(folder.evidence)
            return fitted

        self.processes.on_first(tables).fill(evidence)
        return folds

    def fit(self, folder: RunFolder, trainer_state: dict[str, Any] | None) -> None:
        """Train, in all processes; `last.pt` holds the state of it. The first one writes."""
        train, validation = self.data.parts["train"], self.data.parts["validation"]
        self.weights = class_weights(train.labels, self.classes, self.config.training.class_weights)
        folds = self._prepare_evidence(folder)
        epochs_before = None if trainer_state is None else trainer_state["epoch"]
        with self._log(folder, epochs_before) as log:
            trainer = ModelTrainer(
                self.model,
                self.config,
                self.device,
                metrics=self._detection_metrics,
                on_epoch_end=log and log.epoch_ended,
                on_checkpoint=lambda state: save_checkpoint(
                    folder.last, self._checkpoint(state["history"], state)
                ),
                processes=self.processes,
            )
            if trainer_state is not None:
                trainer.load_state_dict(trainer_state)
            else:  # from now on there is something to go on with, whenever the process ends
                trainer.save()
            # torchrun passes on a signal that the process may have got already, from SLURM or a terminal
            with stop_on_signal(trainer, once_more_ends=self.processes.launch is None):
                try:
                    self.history = trainer.train(
                        self.codes("train"),
                        train.labels,
                        self.codes("validation"),
                        validation.labels,
                        class_weights=self.weights,
                        folds=folds,
                    )
                except TrainingStopped as stop:
                    stop.add_note(f"go on with: python train.py --resume {folder.path}")
                    raise

    def _log(
        self, folder: RunFolder, epochs_before: int | None
    ) -> AbstractContextManager[TrainingLog | None]:
        """Return the log of the training; None in all processes but the first."""
        if not self.processes.is_first:
            return nullcontext()
        epochs = self.config.training.epochs
        log = TrainingLog(folder.metrics, self._tensorboard(folder), epochs, epochs_before)
        log.add_text("config", (folder.path / "config.yaml").read_text(encoding="utf-8"))
        return log

    def calibrate(self, folder: RunFolder) -> None:
        """Let probabilities mean what they say, and write `best.pt`."""
        # A weighted loss shifts the logits by log(weight): taken off, probabilities refer to the data's own
        # class shares, which the checkpoint states as its prior.
        self.model.shift_logits(-np.log(self.weights))
        self.checkpoint = self._checkpoint(self.history)
        batch_size = self.config.training.batch_size
        logits = predict_logits(self.model, self.codes("validation"), batch_size, self.device)
        self._choose_thresholds(logits, self.data.parts["validation"].labels)
        save_checkpoint(folder.best, self.checkpoint)
        folder.write_json("history.json", self.history)

    def _detection_metrics(self, labels: np.ndarray, logits: Tensor) -> dict[str, float]:
        """Judge an epoch on validation."""
        return validation_metrics(labels, probabilities_from_logits(logits), self.benign_index)

    def _choose_thresholds(self, logits: Tensor, labels: np.ndarray) -> None:
        """Choose temperature and thresholds on validation and put them into the checkpoint."""
        checkpoint, benign = self.checkpoint, self.config.evaluation.benign_class
        if self.config.evaluation.calibrate:
            temperature = fit_temperature(logits.numpy(), labels)
            if temperature is None:
                logger.warning(
                    "validation does not tell a temperature (it has too few errors): it stays at 1, and "
                    "nothing says how far to trust the probabilities"
                )
            checkpoint.temperature = temperature or 1.0
        probabilities = probabilities_from_logits(logits, checkpoint.temperature)
        checkpoint.thresholds = thresholds_at_fpr(labels, probabilities, self.classes, benign=benign)
        logger.info("temperature %.3f", checkpoint.temperature)
        logger.info("thresholds: %s", describe_thresholds(checkpoint.thresholds))

    def _checkpoint(self, history: dict[str, list[float]], state: dict[str, Any] | None = None) -> Checkpoint:
        """Return a checkpoint of the model as it is now; with `state` the training can go on from it."""
        return Checkpoint(
            model_state_dict={name: tensor.cpu() for name, tensor in self.model.state_dict().items()},
            config=self.config,
            history=history,
            classes=self.classes,
            benign_class=self.config.evaluation.benign_class,
            max_length=self.config.data.max_length,
            prior=self.data.class_shares(),
            metadata=self.facts,
            trainer_state=state,
        )

    # ------------------------------------------------------------------ evaluation

    def report(self, folder: RunFolder) -> None:
        """Judge validation and test, draw the figures, write the report, and point `latest` here."""
        classifier = DomainClassifier(self.checkpoint, self.device, self.config.training.batch_size)
        scores = {name: score_names(classifier, self.data.parts[name]) for name in ("validation", "test")}
        facts = {
            "run": self.facts,
            "data": {
                "counts": self.data.counts(),
                "dropped": self.data.drops,
                "reasons": DROP_REASONS,
            },
            "split": self.config.data.split,
            "prior": self.checkpoint.prior,
            "temperature": self.checkpoint.temperature,
        }
        judge = Judge(self.classes, self.checkpoint.thresholds, self.config.evaluation, self.config.data.seed)
        train = self.data.parts["train"]
        report, baseline = judge.report(facts, scores, (train.domains, train.labels))
        figures = write_report(
            folder.path,
            report,
            scores["test"],
            baseline=baseline,
            history=self.history,
            figures=self.config.output.figures,
        )
        folder.mark_latest()  # with nothing between this and the report: what has one cannot be resumed
        with TrainingLog(folder.metrics, self._tensorboard(folder), self.config.training.epochs) as log:
            log.add_figures(figures)
        logger.info("report %s", folder.path / "report.md")

    def _tensorboard(self, folder: RunFolder) -> Path | None:
        return folder.tensorboard if self.config.output.tensorboard else None
