"""What a training leaves behind while it runs: a log line an epoch, `metrics.jsonl`, TensorBoard."""

import json
import logging
from pathlib import Path

from models.model_trainer import EpochResult

logger = logging.getLogger(__name__)


class TrainingLog:
    """Receives each `EpochResult`; use as a context manager.

    Parameters
    ----------
    metrics_path
        JSON Lines file, one object an epoch; lines of an earlier part of the same run stay.
    tensorboard_folder
        Where TensorBoard's files go, or None for no TensorBoard.
    epochs
        The planned number, for the log line.
    """

    def __init__(self, metrics_path: Path, tensorboard_folder: Path | None, epochs: int) -> None:
        self.metrics_path = metrics_path
        self.epochs = epochs
        self.writer = None
        if tensorboard_folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # takes a second to import

            self.writer = SummaryWriter(str(tensorboard_folder))

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def epoch_ended(self, result: EpochResult) -> None:
        """Write an epoch everywhere."""
        v = result.values
        extra = "".join(
            f" · {name.removeprefix('val_')} {v[name]:.4f}"
            for name in ("val_auc", "val_macro_f1", "val_recall_at_1pct_fpr")
            if name in v
        )
        logger.info(
            "epoch %d/%d · loss %.4f · val_loss %.4f · val_accuracy %.4f%s · %.0f names/s · %.1f s%s",
            result.epoch,
            self.epochs,
            v["loss"],
            v["val_loss"],
            v["val_accuracy"],
            extra,
            result.names_per_s,
            result.elapsed_s,
            " · best so far" if result.improved else "",
        )
        speed = {"elapsed_s": round(result.elapsed_s, 3), "names_per_s": round(result.names_per_s, 1)}
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": result.epoch, **v, **speed}) + "\n")
        if self.writer is not None:
            for name, value in {**v, "names_per_s": result.names_per_s}.items():
                self.writer.add_scalar(_tag(name), value, result.epoch)
            self.writer.flush()

    def add_text(self, tag: str, text: str) -> None:
        """Put a text into TensorBoard, as code."""
        if self.writer is not None:
            self.writer.add_text(tag, f"```\n{text}\n```")

    def add_figures(self, figures: dict) -> None:
        """Put Matplotlib figures into TensorBoard: name → figure."""
        if self.writer is not None:
            for name, figure in figures.items():
                self.writer.add_figure(f"report/{name}", figure)


def _tag(name: str) -> str:
    """Put a metric's training and validation curves into one TensorBoard group."""
    return f"{name.removeprefix('val_')}/{'validation' if name.startswith('val_') else 'train'}"
