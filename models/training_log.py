"""What a training leaves behind while it runs: a log line an epoch, `metrics.jsonl`, TensorBoard."""

import json
import logging
from pathlib import Path

from models.model_trainer import EpochResult
from utils.errors import UserError
from utils.files import write_text

logger = logging.getLogger(__name__)


class TrainingLog:
    """Receives each `EpochResult`; use as a context manager.

    Parameters
    ----------
    metrics_path
        JSON Lines file, one object an epoch.
    tensorboard_folder
        Where TensorBoard's files go, or None for no TensorBoard.
    epochs
        The planned number, for the log line.
    epochs_before
        How many epochs of the same run were complete where it is resumed. Their lines stay; what an earlier
        part wrote after them, before it was killed, goes: those epochs come again.
    """

    def __init__(
        self,
        metrics_path: Path,
        tensorboard_folder: Path | None,
        epochs: int,
        epochs_before: int | None = None,
    ) -> None:
        self.metrics_path = metrics_path
        self.epochs = epochs
        self.writer = None
        if tensorboard_folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # takes a second to import

            purge_step = None if epochs_before is None else epochs_before + 1
            self.writer = SummaryWriter(str(tensorboard_folder), purge_step=purge_step)
        if epochs_before is not None:
            self._keep_lines(epochs_before)

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
            "epoch %d/%d%s · loss %.4f · val_loss %.4f · val_accuracy %.4f%s · %.0f names/s · %.1f s%s",
            result.epoch,
            self.epochs,
            " · averaged weights" if result.averaged else "",
            v["loss"],
            v["val_loss"],
            v["val_accuracy"],
            extra,
            result.names_per_s,
            result.elapsed_s,
            " · best so far" if result.improved else "",
        )
        speed = {"elapsed_s": round(result.elapsed_s, 3), "names_per_s": round(result.names_per_s, 1)}
        try:
            with self.metrics_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": result.epoch, **v, **speed}) + "\n")
        except OSError as error:  # a full disk
            raise UserError(f"{self.metrics_path}: cannot be written: {error.strerror}") from None
        if self.writer is not None:
            for name, value in {**v, "names_per_s": result.names_per_s}.items():
                self.writer.add_scalar(_tag(name), value, result.epoch)
            self.writer.flush()

    def _keep_lines(self, epochs: int) -> None:
        """Keep the lines of the first `epochs` epochs; the last one may have been cut short by a crash."""
        if not self.metrics_path.exists():
            return
        kept = []
        for line in self.metrics_path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            try:
                is_kept = line.endswith("\n") and json.loads(line)["epoch"] <= epochs
            except (ValueError, KeyError, TypeError):
                is_kept = False
            if is_kept:
                kept.append(line)
        write_text(self.metrics_path, "".join(kept))

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
