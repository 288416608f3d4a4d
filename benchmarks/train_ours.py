"""Trains our network with our trainer, for `bench_training.py`: train_ours.py JOB [bf16]."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from benchmarks.same_layers import (
    ATTENTION_UNITS,
    CONV_FILTERS,
    EMBEDDING_DIM,
    KERNEL_SIZE,
    LEARNING_RATE,
    LSTM_UNITS,
    MAX_LENGTH,
    Job,
    Stopwatch,
)
from data.feature_engineering import code_lengths
from models.allocator import keep_freed_memory
from models.architectures import build_model
from models.batching import training_batches
from models.model_trainer import ModelTrainer
from models.training_data import Batch, TrainingData
from models.training_state import EpochSums
from utils.config import Config, DataConfig, ModelConfig, TrainingConfig

EPOCHS = 3  # ours is fast: one epoch is too short to time


def make_config(batch_size: int, precision: str = "fp32") -> Config:
    """Return the configuration of the layers that all systems have."""
    return Config(
        data=DataConfig(max_length=MAX_LENGTH),
        model=ModelConfig(
            embedding_dim=EMBEDDING_DIM,
            conv_filters=CONV_FILTERS,
            kernel_size=KERNEL_SIZE,
            lstm_units=LSTM_UNITS,
            attention_units=ATTENTION_UNITS,
            dense_units=(),
            dropout_rate=0.0,
            evidence_ngrams=0,
            pool_size=1,
            max_pooling=False,
        ),
        training=TrainingConfig(
            batch_size=batch_size,
            precision=precision,
            epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            schedule="constant",
            warmup_fraction=0.0,
            gradient_clip=None,
            class_weights="none",
            early_stopping_patience=EPOCHS,
        ),
    )


def initial_weights(num_classes: int, batch_size: int, seed: int) -> dict[str, np.ndarray]:
    """Return new weights of the network, parameter name → array."""
    torch.manual_seed(seed)
    model = build_model(num_classes, make_config(batch_size))
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def batch_order(codes: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the rows (N,) in the order in which the trainer takes them in its first epoch."""
    seed = TrainingConfig().seed
    batches = training_batches(code_lengths(codes), batch_size, np.random.default_rng([seed, 0]))
    return np.concatenate(batches)


class Watch:
    """Stands in for the trainer's step: notes the batch, its loss, and when it ends."""

    def __init__(self, trainer: ModelTrainer) -> None:
        self.stopwatch = Stopwatch()
        self.rows: list[np.ndarray] = []
        self.losses: list[Tensor] = []  # sums, of the epoch so far
        self._step = trainer.train_step
        trainer.train_step = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def __call__(
        self, data: TrainingData, batch: Batch, number: int, learning_rate: float, sums: EpochSums
    ) -> None:
        self._step(data, batch, number, learning_rate, sums)
        self.stopwatch.note()
        self.rows.append(batch.rows)
        self.losses.append(sums.loss_sum)

    def losses_of_first_epoch(self, job: Job) -> list[float]:
        """Return the loss of each step, having made sure of its batches."""
        steps = len(job.labels) // job.batch_size
        if not np.array_equal(np.concatenate(self.rows[:steps]), job.order):
            raise RuntimeError("the trainer took the names in another order than the other systems")
        return (np.diff(self.losses[:steps], prepend=0.0) / job.batch_size).tolist()


def main() -> int:
    """Train and print the figures."""
    job = Job(Path(sys.argv[1]))
    keep_freed_memory()  # as train.py does
    config = make_config(job.batch_size, *sys.argv[2:])
    model = build_model(job.num_classes, config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in job.weights.items()})
    trainer = ModelTrainer(model, config, "cpu", show_progress=False)
    watch = Watch(trainer)
    codes, labels = np.empty_like(job.codes), np.empty_like(job.labels)
    codes[job.order], labels[job.order] = job.codes, job.labels
    trainer.train(codes, labels, codes[:2], labels[:2])
    watch.stopwatch.report(job.batch_size, watch.losses_of_first_epoch(job))
    return 0


if __name__ == "__main__":
    sys.exit(main())
