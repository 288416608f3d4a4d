"""Names to probabilities: the only softmax, the temperature, the batching.

classifier = DomainClassifier.load(Path("runs/latest/best.pt"))
classifier.classify(["example.com"])        # (1, K) float32, rows sum to 1
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from data.feature_engineering import code_lengths, encode_domains
from models.batching import predict_logits
from models.checkpoint import Checkpoint, load_checkpoint
from utils.calibration import reweight_prior
from utils.errors import CheckpointError, ConfigError

# 256 rows of 20 characters keep a layer's activations inside the cache of one core; 1,024 are slower.
DEFAULT_BATCH_SIZE = 256


def probabilities_from_logits(logits: Tensor, temperature: float = 1.0) -> np.ndarray:
    """Return softmax(logits / temperature), (N, K) float32 (Guo et al. 2017, arXiv:1706.04599)."""
    return F.softmax(logits.float() / temperature, dim=1).numpy()


class DomainClassifier:
    """A trained model that answers for normalised names.

    Parameters
    ----------
    checkpoint
        The weights and what goes with them.
    device
        Where the model runs.
    batch_size
        Names in one forward pass.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device | str = "cpu",
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        if checkpoint.trainer_state is not None:
            raise CheckpointError(
                "this is the state of a training (last.pt), neither corrected nor calibrated: "
                "go on with it (train.py --resume), or use the run's best.pt"
            )
        self.checkpoint = checkpoint
        self.classes = checkpoint.classes
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.model = checkpoint.build_model().to(self.device)
        self.prior: np.ndarray | None = None

    @classmethod
    def load(
        cls, path: Path, device: torch.device | str = "cpu", batch_size: int = DEFAULT_BATCH_SIZE
    ) -> "DomainClassifier":
        """Load a checkpoint file; see `models.checkpoint.load_checkpoint` for the errors."""
        return cls(load_checkpoint(path), device, batch_size)

    def logits(self, domains: Sequence[str]) -> Tensor:
        """Return the logits (N, K), float32 on the CPU, of normalised names."""
        if not len(domains):
            return torch.empty(0, len(self.classes))
        codes = encode_domains(domains, self.checkpoint.max_length)
        return predict_logits(self.model, codes, self.batch_size, self.device)

    def assume_prior(self, prior: Mapping[str, float]) -> None:
        """Answer from now on for names of which each class has the share `prior[class]`.

        Without it the probabilities refer to the class shares of the training data, `checkpoint.prior`.

        Raises
        ------
        ConfigError
            A class is missing or unknown, or a share is not above 0.
        """
        if not self.checkpoint.prior:
            raise ConfigError("the checkpoint does not say which class shares its probabilities assume")
        if set(prior) != set(self.classes) or not all(0 < share < float("inf") for share in prior.values()):
            raise ConfigError(f"a prior needs a share above 0 for each of {', '.join(self.classes)}")
        self.prior = np.array([prior[name] for name in self.classes])

    def classify(self, domains: Sequence[str]) -> np.ndarray:
        """Return the probabilities (N, K), float32, of normalised names, in the order of `classes`."""
        probabilities = probabilities_from_logits(self.logits(domains), self.checkpoint.temperature)
        if self.prior is None or not len(domains):
            return probabilities
        learned = np.array([self.checkpoint.prior[name] for name in self.classes])
        return reweight_prior(probabilities, learned, self.prior)

    @torch.inference_mode()
    def attention(self, domain: str) -> np.ndarray:
        """Return the attention weight of each character of one name, (len(domain),) float32, summing to 1.

        Characters left of the model's maximal length were not seen and have the weight 0. Attention shows
        where the network looked, which is not the same as why it answered as it did.
        """
        codes = encode_domains([domain], self.checkpoint.max_length)
        length = int(code_lengths(codes)[0])
        _, weights = self.model.forward_with_attention(torch.from_numpy(codes[:, :length]).to(self.device))
        seen = np.zeros(len(domain), dtype=np.float32)
        seen[len(domain) - length :] = weights[0].float().cpu().numpy()
        return seen
