"""Names to probabilities, whatever computes the logits: the only softmax, the temperature, the prior.

NumPy only, so that a runtime other than PyTorch answers without loading it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from data.feature_engineering import code_lengths, encode_domains
from models.signature import ModelSignature
from utils.calibration import reweight_prior
from utils.errors import CheckpointError, ConfigError

# A layer's activations of 384 rows of 20 characters stay inside the cache of one core: 1,024 rows are slower,
# and so are 256, for which PyTorch is called more often.
DEFAULT_BATCH_SIZE = 384


def probabilities_from_logits(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return softmax(logits / temperature), (N, K) float32 (Guo et al. 2017, arXiv:1706.04599)."""
    scaled = np.asarray(logits, dtype=np.float32) / np.float32(temperature)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class BaseClassifier(ABC):
    """A model that answers for normalised names; a subclass says how codes become logits.

    Parameters
    ----------
    signature
        What the model takes, and what its logits mean.
    batch_size
        Names in one forward pass.

    Attributes
    ----------
    processes
        How many copies of the process answer a large file fastest; 1 where this process alone is best.
    """

    def __init__(self, signature: ModelSignature, batch_size: int = DEFAULT_BATCH_SIZE) -> None:
        self.signature = signature
        self.classes = signature.classes
        self.batch_size = batch_size
        self.processes = 1
        self.prior: np.ndarray | None = None

    @abstractmethod
    def _logits(self, codes: np.ndarray) -> np.ndarray:
        """Return the logits (N, K), float32, of `codes` (N, T) uint8, in the order of the rows; N >= 1."""

    def work_alone(self) -> None:
        """Use one core from now on: others use the rest. Called in a copy of the process, before all else."""
        self.processes = 1

    @abstractmethod
    def _attention(self, codes: np.ndarray) -> np.ndarray:
        """Return the attention weights (T,), float32, of the one row of `codes` (1, T), without padding."""

    def logits(self, domains: Sequence[str]) -> np.ndarray:
        """Return the logits (N, K), float32, of normalised names."""
        if not len(domains):
            return np.empty((0, len(self.classes)), dtype=np.float32)
        return self._logits(encode_domains(domains, self.signature.max_length))

    def assume_prior(self, prior: Mapping[str, float]) -> None:
        """Answer from now on for names of which each class has the share `prior[class]`.

        Without it the probabilities refer to the class shares of the training data, `signature.prior`.

        Raises
        ------
        ConfigError
            A class is missing or unknown, or a share is not above 0.
        """
        if not self.signature.prior:
            raise ConfigError("the checkpoint does not say which class shares its probabilities assume")
        if set(prior) != set(self.classes) or not all(0 < share < float("inf") for share in prior.values()):
            wanted = ", ".join(self.classes)
            found = ", ".join(f"{name}={share:g}" for name, share in prior.items())
            raise ConfigError(f"a prior needs a share above 0 for each of {wanted}. Got {found}")
        self.prior = np.array([prior[name] for name in self.classes])

    def classify(self, domains: Sequence[str]) -> np.ndarray:
        """Return the probabilities (N, K), float32, of normalised names, in the order of `classes`."""
        return self.with_prior(self.learned_probabilities(domains))

    def learned_probabilities(self, domains: Sequence[str]) -> np.ndarray:
        """Return the probabilities (N, K), float32, under the class shares of the training data.

        Thresholds of the checkpoint refer to these, whatever prior is assumed.

        Raises
        ------
        CheckpointError
            The model gives no finite numbers: its weights were made to overflow.
        """
        logits = self.logits(domains)
        if not np.isfinite(logits).all():
            raise CheckpointError("the model's logits are no finite numbers: its weights are damaged")
        return probabilities_from_logits(logits, self.signature.temperature)

    def with_prior(self, probabilities: np.ndarray) -> np.ndarray:
        """Return learned probabilities (N, K) moved to the prior that is assumed; the same without one."""
        if self.prior is None or not len(probabilities):
            return probabilities
        learned = np.array([self.signature.prior[name] for name in self.classes])
        return reweight_prior(probabilities, learned, self.prior)

    def attention(self, domain: str) -> np.ndarray:
        """Return the attention weight of each character of one name, (len(domain),) float32, summing to 1.

        Characters left of the model's maximal length were not seen and have the weight 0. Attention shows
        where the network looked, which is not the same as why it answered as it did.
        """
        codes = encode_domains([domain], self.signature.max_length)
        length = int(code_lengths(codes)[0])
        seen = np.zeros(len(domain), dtype=np.float32)
        seen[len(domain) - length :] = self._attention(codes[:, :length])
        return seen
