"""The only file that knows the `.pt` format: what a checkpoint holds, how it is written, what is refused.

A checkpoint is a dictionary of builtins and tensors, so `torch.load(path, weights_only=True)` reads it, and
it holds all that prediction needs. Nothing in a file is ever executed, and no memory is taken on a file's
word: sizes are compared with the file's own before a tensor is made.
"""

import pickletools
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.feature_engineering import ALPHABET
from models.architectures import build_without_values
from utils.config import Config, as_config
from utils.errors import CheckpointError, ConfigError, UserError
from utils.files import atomic_path

FORMAT = "malicious-domain-classifier"
FORMAT_VERSION = 1

# What `torch.save` writes for builtins and tensors. `weights_only` lets through more, such as the call
# bytearray(10**12): nothing is executed, but memory is taken on the file's word.
_OPCODES = {
    "PROTO", "STOP", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "SETITEM", "SETITEMS", "APPEND", "APPENDS", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2",
    "LONG1", "BINFLOAT", "BINUNICODE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "REDUCE",
    "BINPERSID",
}  # fmt: skip
_GLOBAL = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Za-z0-9]+Storage")

# key → type; a checkpoint without one of them is none of ours
_REQUIRED = {
    "model_state_dict": Mapping,
    "config": Mapping,
    "history": Mapping,
    "classes": Sequence,
    "benign_class": str,
    "alphabet": str,
    "max_length": int,
    "temperature": float,
    "thresholds": Mapping,
    "prior": Mapping,
    "metadata": Mapping,
}


@dataclass(kw_only=True)
class Checkpoint:
    """A model and what prediction needs to know.

    Attributes
    ----------
    model_state_dict
        Parameter name → tensor.
    config
        The configuration of the run.
    history
        Column → one number an epoch.
    classes
        Class names in the order of the logits.
    benign_class
        Which of them is harmless.
    temperature
        What the logits are divided by before the softmax.
    thresholds
        False-positive rate ("0.01") → the score 1 − P(benign) at and above which a name is flagged, or None
        where validation had too few benign names to tell.
    prior
        The class shares to which the probabilities refer.
    metadata
        Where the weights come from: versions, seed, data fingerprints, command.
    trainer_state
        What `ModelTrainer.load_state_dict` takes; only in `last.pt`.
    """

    model_state_dict: Mapping[str, Tensor]
    config: Config
    history: Mapping[str, list[float]]
    classes: tuple[str, ...]
    benign_class: str
    temperature: float = 1.0
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    prior: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    alphabet: str = ALPHABET
    max_length: int = 64
    trainer_state: Mapping[str, Any] | None = None

    def build_model(self) -> nn.Module:
        """Return the model with these weights, in evaluation mode, on the CPU.

        Raises
        ------
        CheckpointError
            The weights do not fit the configuration in the same file.
        """
        model = self._empty_model()
        weights = {name: tensor.float().contiguous() for name, tensor in self.model_state_dict.items()}
        model.load_state_dict(weights, assign=True)
        return model.eval()

    def compact(self) -> "Checkpoint":
        """Return a copy for sending out: n-gram tables in half precision, no state to train on from."""
        weights = {
            name: tensor.half() if name.startswith("ngrams.") else tensor
            for name, tensor in self.model_state_dict.items()
        }
        # Where the data lay on the machine that trained is nobody's business.
        config = replace(self.config, data=replace(self.config.data, root="data/lists", cache_dir=None))
        metadata = {key: value for key, value in self.metadata.items() if key != "command"}
        return replace(self, model_state_dict=weights, config=config, metadata=metadata, trainer_state=None)

    def _empty_model(self) -> nn.Module:
        """Return the model that the configuration describes, without memory; raise unless it fits."""
        model = build_without_values(len(self.classes), self.config)
        precisions = (torch.float32, torch.float16)
        expected = {name: (tensor.shape, True) for name, tensor in model.state_dict().items()}
        found = {
            name: (tensor.shape, tensor.dtype in precisions) for name, tensor in self.model_state_dict.items()
        }
        if expected != found:
            wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
            raise CheckpointError(f"the weights do not fit the model's configuration: {', '.join(wrong[:4])}")
        return model


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file at `path` is the old one or the new one, never a part of one.

    Raises
    ------
    CheckpointError
        The file system refuses: read-only, full, no such folder.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model_state_dict": dict(checkpoint.model_state_dict),
        "config": checkpoint.config.to_dict(),
        "history": dict(checkpoint.history),
        "classes": list(checkpoint.classes),
        "benign_class": checkpoint.benign_class,
        "alphabet": checkpoint.alphabet,
        "max_length": checkpoint.max_length,
        "temperature": checkpoint.temperature,
        "thresholds": dict(checkpoint.thresholds),
        "prior": dict(checkpoint.prior),
        "metadata": dict(checkpoint.metadata),
    }
    if checkpoint.trainer_state is not None:
        content["trainer_state"] = checkpoint.trainer_state
    try:
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
    except UserError as error:
        raise CheckpointError(str(error)) from error
    except RuntimeError as error:  # how torch reports a full disk
        raise CheckpointError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint without executing anything in it.

    Raises
    ------
    CheckpointError
        No such file, not a checkpoint, damaged, of a newer format, or it does not hold together.
    """
    path = Path(path)
    try:
        _refuse_bad_container(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - a hostile pickle can make torch raise anything
            reason = str(error) or type(error).__name__
            raise CheckpointError(
                f"refused: not a plain dictionary of tensors and builtins ({reason})"
            ) from None
        checkpoint = _checked(content)
        checkpoint._empty_model()  # raises where the weights do not fit
        return checkpoint
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {_one_line(str(error))}") from None


def _refuse_bad_container(path: Path) -> None:
    """Let through only what `torch.save` writes: a zip file whose entries are stored, not compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            size = path.stat().st_size
            if any(e.compress_type != zipfile.ZIP_STORED or e.file_size > size for e in entries):
                raise CheckpointError("refused: holds compressed entries, which no checkpoint has")
            if sum(e.file_size for e in entries) > size:
                raise CheckpointError("refused: its entries claim more bytes than the file has")
            if (bad := archive.testzip()) is not None:
                raise CheckpointError(f"damaged: {bad} does not match its checksum")
            pickles = [e for e in entries if e.filename.lower().rpartition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise CheckpointError("no PyTorch checkpoint: a zip file without one data.pkl")
            _refuse_bad_pickle(archive.read(pickles[0]))
    except FileNotFoundError:
        raise CheckpointError(f"no such checkpoint{_neighbours(path)}") from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, ValueError) as error:
        what = "a folder" if path.is_dir() else "damaged, cut short, or no PyTorch checkpoint"
        raise CheckpointError(f"{what} ({error})") from None


def _refuse_bad_pickle(data: bytes) -> None:
    """Let through only the instructions that builtins and tensors need, without running any."""
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL" and not _GLOBAL.fullmatch(argument):
                raise CheckpointError(
                    f"refused: it names {argument.replace(' ', '.')}, which no checkpoint needs"
                )
            if opcode.name not in _OPCODES:
                raise CheckpointError(
                    f"refused: it holds the instruction {opcode.name}, which no checkpoint needs"
                )
    except ValueError as error:
        raise CheckpointError(f"damaged: not a pickle ({error})") from None


def _checked(content: Any) -> Checkpoint:
    """Return the checkpoint in `content`, or say what is wrong with it."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"not a checkpoint of this project: the entry 'format' is not '{FORMAT}'")
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"has no valid format version. Got {version!r}")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"has format version {version}; this program reads up to {FORMAT_VERSION}: update it"
        )
    for key, kind in _REQUIRED.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"the entry '{key}' is missing or no {kind.__name__.lower()}")
    if content["alphabet"] != ALPHABET:
        raise CheckpointError("its alphabet is not this program's: the weights would mean other characters")
    classes = tuple(content["classes"])
    if not all(isinstance(c, str) and c.isprintable() for c in classes):
        raise CheckpointError("its class names are no texts")
    if not 2 <= len(set(classes)) == len(classes) or content["benign_class"] not in classes:
        raise CheckpointError("its class names are fewer than two, repeated, or lack the benign one")
    prior, thresholds = content["prior"], content["thresholds"]
    if prior and (
        set(prior) != set(classes) or not all(isinstance(p, float) and 0 < p < 1 for p in prior.values())
    ):
        raise CheckpointError("its prior does not give a share for each class")
    if not all(isinstance(t, float | None) for t in thresholds.values()):
        raise CheckpointError("its thresholds are no numbers")
    if not 0 < content["temperature"] < float("inf") or not 1 <= content["max_length"] <= 253:
        raise CheckpointError("its temperature or its length is out of range")
    _check_weights(content["model_state_dict"])
    return Checkpoint(
        config=as_config(content["config"]),
        classes=classes,
        trainer_state=content.get("trainer_state"),
        **{key: content[key] for key in _REQUIRED if key not in ("config", "classes")},
    )


def _check_weights(weights: Mapping[Any, Any]) -> None:
    """Raise unless `weights` maps names to tensors that have all the bytes their shapes claim."""
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"the weight {name!r} is no tensor with a name")
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"the weight {name!r} claims more bytes than it has")


def _one_line(text: str) -> str:
    """Put a message, parts of which come from a hostile file, into one printable line of 300 characters."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)[:300]


def _neighbours(path: Path) -> str:
    """Name the checkpoints that are there, for the message about the one that is not."""
    names = sorted(p.name for p in path.parent.glob("*.pt")) if path.parent.is_dir() else []
    return f"; in {path.parent} there are: {', '.join(names[:10])}" if names else ""
