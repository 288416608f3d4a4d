"""The only file that knows the `.pt` format: what a checkpoint holds, how it is written, what is refused.

A checkpoint is a dictionary of builtins and tensors, so `torch.load(path, weights_only=True)` reads it, and
it holds all that prediction needs. Nothing in a file is ever executed, and no memory is taken on a file's
word: sizes are compared with the file's own before a tensor is made.
"""

import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.architectures import build_without_values
from models.pickle_check import refuse_bad_pickle
from models.signature import ModelSignature, check_signature
from utils.config import Config, as_config
from utils.errors import CheckpointError, ConfigError, UserError
from utils.files import atomic_path
from utils.terminal_text import one_line

FORMAT = "malicious-domain-classifier"
FORMAT_VERSION = 2

UNFINISHED = (
    "this is the state of a training (last.pt), neither corrected nor calibrated: "
    "go on with it (train.py --resume), or use the run's best.pt"
)

# These and the signature: a checkpoint without one of them is none of ours.
_MAPPINGS = ("model_state_dict", "config", "history", "metadata")


@dataclass(kw_only=True)
class Checkpoint(ModelSignature):
    """A model's signature, its weights, and where they come from.

    Attributes
    ----------
    model_state_dict
        Parameter name → tensor.
    config
        The configuration of the run.
    history
        Column → one number an epoch.
    metadata
        Where the weights come from: versions, seed, data fingerprints, command.
    trainer_state
        What `ModelTrainer.load_state_dict` takes; only in `last.pt`.
    """

    model_state_dict: Mapping[str, Tensor]
    config: Config
    history: Mapping[str, list[float]]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trainer_state: Mapping[str, Any] | None = None

    def build_model(self) -> nn.Module:
        """Return the model with these weights, in evaluation mode, on the CPU.

        Raises
        ------
        CheckpointError
            The weights do not fit the configuration in the same file.
        """
        model = self._empty_model()
        weights = {
            name: (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
            for name, tensor in self.model_state_dict.items()
        }
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
        expected = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
        found = {
            name: (tensor.shape, torch.float32 if tensor.dtype == torch.float16 else tensor.dtype)
            for name, tensor in self.model_state_dict.items()
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
        **checkpoint.signature_dict(),
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
        _refuse_infinite_weights(checkpoint.model_state_dict)
        return checkpoint
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {one_line(str(error))}") from None


def load_finished(path: Path) -> Checkpoint:
    """Read a checkpoint that gives answers; see `load_checkpoint`.

    Raises
    ------
    CheckpointError
        As there, or it is the state of a training.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.trainer_state is not None:
        raise CheckpointError(f"{path}: {UNFINISHED}")
    return checkpoint


def _refuse_bad_container(path: Path) -> None:
    """Let through only what `torch.save` writes: a zip file whose entries are stored, not compressed."""
    try:
        if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError("no regular file")  # a device or a pipe may go on without end
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
            refuse_bad_pickle(archive.read(pickles[0]))
    except FileNotFoundError:
        raise CheckpointError(f"no such checkpoint{_neighbours(path)}") from None
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, ValueError) as error:
        if path.is_dir():
            raise CheckpointError(f"is a folder: name its file, for example {path / 'best.pt'}") from None
        if path.suffix.lower() == ".onnx":
            raise CheckpointError(
                "an .onnx file, which only predict.py reads: name the .pt that it was made of"
            ) from None
        raise CheckpointError(f"damaged, cut short, or no PyTorch checkpoint ({error})") from None


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
    if version == 1:
        content = _from_version_1(content)
    for key in _MAPPINGS:
        if not isinstance(content.get(key), Mapping):
            raise CheckpointError(f"the entry '{key}' is missing or no mapping")
    signature = check_signature(content)
    state = content.get("trainer_state")
    if state is not None and not (isinstance(state, Mapping) and type(state.get("epoch")) is int):
        raise CheckpointError("its state of a training does not say which epoch it is of")
    _check_weights(content["model_state_dict"])
    return Checkpoint(
        **signature,
        model_state_dict=content["model_state_dict"],
        config=as_config(content["config"]),
        history=content["history"],
        metadata=content["metadata"],
        trainer_state=state,
    )


def _from_version_1(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content as version 2 has it: networks had no n-gram evidence, which is now the default."""
    config = content.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("model"), Mapping):
        return content  # which the checks refuse
    return {**content, "config": {**config, "model": {**config["model"], "evidence_ngrams": 0}}}


def _check_weights(weights: Mapping[Any, Any]) -> None:
    """Raise unless `weights` maps names to tensors that have all the bytes their shapes claim."""
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"the weight {name!r} is no tensor with a name")
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"the weight {name!r} claims more bytes than it has")


def _refuse_infinite_weights(weights: Mapping[str, Tensor]) -> None:
    """Raise unless every number is finite: a training never saves others, and the answers would be NaN."""
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"the weight {name} holds numbers that are not finite")


def _neighbours(path: Path) -> str:
    """Name the checkpoints that are there, for the message about the one that is not."""
    names = sorted(p.name for p in path.parent.glob("*.pt")) if path.parent.is_dir() else []
    return f"; in {path.parent} there are: {', '.join(names[:10])}" if names else ""
