"""An export, run back: does it answer like the classifier whatever the padding and the company of a name?"""

import io
import random
import string
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch

from data.feature_engineering import encode_domains
from models.base_classifier import probabilities_from_logits
from models.checkpoint import Checkpoint
from models.classifier import DomainClassifier
from models.exporting import OUTPUTS
from models.length_batches import length_sorted_batches
from models.onnx_classifier import OnnxClassifier
from models.signature import MAX_NAME_LENGTH
from utils.errors import CheckpointError

TOLERANCE = 1e-4  # of a probability: what float32 may differ by between two runtimes, tenfold
NUM_NAMES = 1_200
# codes (B, T) uint8 → logits, probabilities, attention
Run = Callable[[np.ndarray], list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far an export is from its original: the largest difference of a probability, on how many names."""

    difference: float
    num_names: int
    num_batches: int


def check_export(checkpoint: Checkpoint, content: bytes, format: str) -> Agreement:
    """Run an export on made-up names of all lengths, in batches of several sizes and paddings.

    Raises
    ------
    CheckpointError
        A probability, or a weight of the attention, differs by more than TOLERANCE from what
        `DomainClassifier` gives.
    """
    names = check_names(NUM_NAMES, checkpoint.max_length)
    codes = encode_domains(names, checkpoint.max_length)
    lengths = np.minimum([len(name) for name in names], checkpoint.max_length)
    classifier = DomainClassifier(checkpoint)
    expected = classifier.classify(names)
    fixed_length = checkpoint.max_length if format == "torch-export" else None
    run = RUNNERS[format](content)
    difference, num_batches = 0.0, 0
    for rows, width in _batches(lengths, fixed_length):
        logits, probabilities, attention = run(_padded(codes[rows], width))
        computed = probabilities_from_logits(logits, checkpoint.temperature)
        pairs = [(probabilities, expected[rows]), (computed, expected[rows])]
        if len(rows) == 1:
            name = names[rows[0]][-checkpoint.max_length :]
            pairs.append((attention[:, : len(name)], classifier.attention(name)[None]))
        for found, wanted in pairs:
            if found.shape != wanted.shape:
                raise CheckpointError(f"answers with shape {found.shape}, not {wanted.shape}")
            distance = float(np.abs(found - wanted).max())
            if not distance <= TOLERANCE:  # also where it is not a number
                raise CheckpointError(
                    f"its answers differ by {distance:.2g} from the original's, more than {TOLERANCE:g} "
                    f"(batch of {len(rows)}, length {width})"
                )
            difference = max(difference, distance)
        num_batches += 1
    return Agreement(difference=difference, num_names=len(names), num_batches=num_batches)


def check_names(count: int, max_length: int) -> list[str]:
    """Return made-up names, always the same, of every length from 1 to beyond what the model sees.

    Half are pronounceable words with a usual suffix, as benign names are, half random characters: where a
    model is sure of everything, a difference would not show.
    """
    draw = random.Random(0)
    characters = string.ascii_lowercase + string.digits + "-"
    longest = min(max_length + 8, MAX_NAME_LENGTH)
    names = []
    for number, length in enumerate(islice(cycle(range(1, longest + 1)), count)):
        if number % 2:
            names.append("".join(draw.choices(characters, k=length)))
            continue
        suffix = draw.choice([".com", ".org", ".net", ".top", ".com.br", ".github.io"])
        word = "".join(draw.choice("bcdfglmnprst") + draw.choice("aeiou") for _ in range(length // 2 + 1))
        names.append((word[: max(length - len(suffix), 0)] + suffix)[-length:])
    return names


def _batches(lengths: np.ndarray, fixed_length: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (rows, padded length): sorted and tight, as prediction does; alone; mixed; padded further."""
    every = np.arange(len(lengths))
    longest = int(lengths.max())
    for rows in length_sorted_batches(lengths, 256):
        yield rows, fixed_length or int(lengths[rows].max())
    for row in every[:70]:
        yield every[row : row + 1], fixed_length or int(lengths[row])
    for start in range(0, 400, 97):
        yield every[start : start + 97], fixed_length or longest
    for rows in (every[:2], every[[0, int(lengths.argmax())]], every[:33]):
        yield rows, fixed_length or int(lengths[rows].max())
        yield rows, fixed_length or longest + 5


def _padded(codes: np.ndarray, width: int) -> np.ndarray:
    """Cut or pad codes (B, T) to `width`; what is cut is padding."""
    missing = max(width - codes.shape[1], 0)
    return np.ascontiguousarray(np.pad(codes[:, :width], ((0, 0), (0, missing))))


def _run_onnx(content: bytes) -> Run:
    classifier = OnnxClassifier(content, device="cpu")
    return lambda codes: classifier.run(codes, *OUTPUTS)


def _run_torchscript(content: bytes) -> Run:
    with warnings.catch_warnings():  # of the deprecation, which export.py says itself
        warnings.simplefilter("ignore", DeprecationWarning)
        return _torch_run(torch.jit.load(io.BytesIO(content)))


def _run_program(content: bytes) -> Run:
    return _torch_run(torch.export.load(io.BytesIO(content)).module())


def _torch_run(module: Callable) -> Run:
    def run(codes: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [output.numpy() for output in module(torch.from_numpy(codes))]

    return run


RUNNERS: dict[str, Callable[[bytes], Run]] = {
    "onnx": _run_onnx,
    "torchscript": _run_torchscript,
    "torch-export": _run_program,
}
