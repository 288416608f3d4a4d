"""Names to probabilities through ONNX Runtime: an exported model, without PyTorch.

classifier = OnnxClassifier.load(Path("model.onnx"))
classifier.classify(["example.com"])        # (1, K) float32, rows sum to 1
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from data.feature_engineering import code_lengths
from models.base_classifier import DEFAULT_BATCH_SIZE, BaseClassifier
from models.length_batches import length_sorted_batches
from models.onnx_file import read_metadata, read_onnx_file
from models.signature import read_signature_json
from utils.errors import CheckpointError, ConfigError
from utils.terminal_text import one_line

SIGNATURE_KEY = "signature"  # of the metadata
# What a session may take for one batch. A batch of 256 names takes some 50 MB; a graph may ask for anything.
MAX_MEMORY_BYTES = 4 * 2**30
_QUIET = 4  # ONNX Runtime's log level "fatal": what fails is told once, by us


class OnnxClassifier(BaseClassifier):
    """An exported model that answers for normalised names as its checkpoint does.

    Parameters
    ----------
    content
        The bytes of the .onnx file.
    device
        "auto" (CUDA where ONNX Runtime has it, else the CPU), "cpu", "cuda" or "cuda:N".
    batch_size
        Names in one run.

    Raises
    ------
    CheckpointError
        The bytes are no export of this project, damaged, or refused.
    ConfigError
        ONNX Runtime is not installed, or not for this device.
    """

    def __init__(self, content: bytes, device: str = "auto", batch_size: int = DEFAULT_BATCH_SIZE) -> None:
        metadata = read_metadata(content)
        if SIGNATURE_KEY not in metadata:
            raise CheckpointError("not an export of this project: its metadata has no signature")
        super().__init__(read_signature_json(metadata[SIGNATURE_KEY]), batch_size)
        self._runtime = import_onnxruntime()
        self.device, provider = _provider(self._runtime, device)
        try:
            self._session = _make_session(self._runtime, content, provider)
        except Exception as error:  # noqa: BLE001 - its errors derive from nothing closer
            raise CheckpointError(f"ONNX Runtime cannot load it: {one_line(str(error))}") from None

    @classmethod
    def load(cls, path: Path, device: str = "auto", batch_size: int = DEFAULT_BATCH_SIZE) -> "OnnxClassifier":
        """Load an .onnx file; the errors name it."""
        content, _ = read_onnx_file(path)
        try:
            return cls(content, device, batch_size)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None

    def run(self, codes: np.ndarray, *outputs: str) -> list[np.ndarray]:
        """Return the named outputs, each (B, …) float32, for `codes` (B, T) uint8."""
        options = self._runtime.RunOptions()
        options.log_severity_level = _QUIET
        try:
            results = self._session.run(list(outputs), {"codes": np.ascontiguousarray(codes)}, options)
        except Exception as error:  # noqa: BLE001 - as above
            raise CheckpointError(f"ONNX Runtime cannot run the model: {one_line(str(error))}") from None
        widths = {"attention": codes.shape[1]}
        for name, result in zip(outputs, results, strict=True):
            expected = (len(codes), widths.get(name, len(self.classes)))
            if result.shape != expected or result.dtype != np.float32:
                raise CheckpointError(f"the model's {name} are {result.dtype} {result.shape}, not {expected}")
        return results

    def _logits(self, codes: np.ndarray) -> np.ndarray:
        lengths = code_lengths(codes)
        logits = np.empty((len(codes), len(self.classes)), dtype=np.float32)
        for rows in length_sorted_batches(lengths, self.batch_size):
            width = max(int(lengths[rows[-1]]), 1)
            (logits[rows],) = self.run(codes[rows, :width], "logits")
        return logits

    def _attention(self, codes: np.ndarray) -> np.ndarray:
        (weights,) = self.run(codes, "attention")
        return weights[0]


def import_onnxruntime() -> ModuleType:
    """Return the module.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "an .onnx model needs ONNX Runtime: pip install -r requirements-onnx.txt "
            f"({one_line(str(error))})"
        ) from None
    return onnxruntime


def _provider(runtime: ModuleType, device: str) -> tuple[str, Any]:
    """Return the device and its execution provider, as ONNX Runtime calls what computes."""
    has_cuda = "CUDAExecutionProvider" in runtime.get_available_providers()
    if device == "auto":
        device = "cuda" if has_cuda else "cpu"
    if device == "cpu":
        return device, "CPUExecutionProvider"
    kind, _, index = device.partition(":")
    if kind != "cuda" or (":" in device and not (index.isascii() and index.isdecimal())):
        raise ConfigError(f"--device must be auto, cpu, cuda or cuda:N for an .onnx model. Got '{device}'")
    if not has_cuda:
        raise ConfigError(
            f"--device {device}: this ONNX Runtime {runtime.__version__} has no CUDAExecutionProvider; "
            "install onnxruntime-gpu in its place, or use --device cpu"
        )
    return device, ("CUDAExecutionProvider", {"device_id": int(index or 0)})


def _make_session(runtime: ModuleType, content: bytes, provider: Any) -> Any:
    """Return a session whose memory on the CPU is bounded and whose messages are ours to write."""
    runtime.create_and_register_allocator(
        runtime.OrtMemoryInfo(
            "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
        ),
        runtime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES}),
    )
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = _QUIET
    # As PyTorch does: as many threads as OMP_NUM_THREADS says, else one a core.
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
    session = runtime.InferenceSession(content, options, providers=[provider])
    given = provider if isinstance(provider, str) else provider[0]
    if given not in session.get_providers():  # ONNX Runtime goes on with the CPU where a GPU fails it
        raise RuntimeError(f"{given} could not be started")
    return session
