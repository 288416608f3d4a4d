"""Names to probabilities through PyTorch.

classifier = DomainClassifier.load(Path("runs/latest/best.pt"))
classifier.classify(["example.com"])        # (1, K) float32, rows sum to 1
"""

from pathlib import Path

import numpy as np
import torch

from models.base_classifier import DEFAULT_BATCH_SIZE, BaseClassifier
from models.batching import batch_threads, predict_logits
from models.checkpoint import UNFINISHED, Checkpoint, load_finished
from models.cpu_network import for_cpu
from models.device import tensor_float32
from utils.errors import CheckpointError


class DomainClassifier(BaseClassifier):
    """A trained model that answers for normalised names.

    Parameters
    ----------
    checkpoint
        The weights and what goes with them; it is the signature, too.
    device
        Where the model runs.
    batch_size
        Names in one forward pass.

    Attributes
    ----------
    model
        The network with attention and gradients.
    network
        What computes logits: the same, laid out for a CPU where there is no GPU.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device | str = "cpu",
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        if checkpoint.trainer_state is not None:
            raise CheckpointError(UNFINISHED)
        super().__init__(checkpoint, batch_size)
        self.checkpoint = checkpoint
        self.device = torch.device(device)
        self.model = checkpoint.build_model().to(self.device)
        self.network = for_cpu(self.model) if self.device.type == "cpu" else self.model
        self.threads, _ = batch_threads(self.device)
        if self.device.type == "cpu":
            self.processes = torch.get_num_threads()

    @classmethod
    def load(
        cls, path: Path, device: torch.device | str = "cpu", batch_size: int = DEFAULT_BATCH_SIZE
    ) -> "DomainClassifier":
        """Load a checkpoint file; see `models.checkpoint.load_finished` for the errors."""
        return cls(load_finished(path), device, batch_size)

    def work_alone(self) -> None:
        super().work_alone()
        torch.set_num_threads(1)
        self.threads = None

    def _logits(self, codes: np.ndarray) -> np.ndarray:
        threads = self.threads if len(codes) > self.batch_size else None
        with tensor_float32(allowed=False):  # rounded products would move answers between devices
            return predict_logits(
                self.network, codes, self.batch_size, self.device, self._take_fewer, threads
            ).numpy()

    def _take_fewer(self, batch_size: int) -> None:
        """Remember what fits into the device's memory."""
        self.batch_size = batch_size

    @torch.inference_mode()
    def _attention(self, codes: np.ndarray) -> np.ndarray:
        _, weights = self.model.forward_with_attention(torch.from_numpy(codes).to(self.device))
        return weights[0].float().cpu().numpy()
