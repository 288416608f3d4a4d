"""A checkpoint to bytes in the formats of other runtimes: ONNX, TorchScript, torch.export.

All three hold the network with the softmax and the temperature behind it and take codes, uint8 (B, T).
ONNX and TorchScript take any number of names and any length. `torch.export` cannot leave the length of an
`nn.LSTM` open (PyTorch 2.13): there T is the checkpoint's `max_length`, and the padding does not matter.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, nn

from data.feature_engineering import encode_domains
from models.checkpoint import Checkpoint
from models.onnx_classifier import SIGNATURE_KEY
from models.signature import signature_json
from utils.errors import CheckpointError, ConfigError
from utils.terminal_text import one_line

INPUT = "codes"
OUTPUTS = ("logits", "probabilities", "attention")
# Rows and columns must not be 1, which exporters take for a constant.
EXAMPLE_NAMES = ("example.com", "shop.example.org", "a-longer-name.example.net")


class ExportedModel(nn.Module):
    """What other runtimes run: the network, and the probabilities that the classifier gives.

    Their softmax is in the graph, so that a caller in another language need not write it; each export is
    compared with the classifier before it is kept.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.network = checkpoint.build_model()
        self.temperature = checkpoint.temperature
        self.requires_grad_(False)
        self.eval()

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, K), probabilities (B, K) and attention (B, T) for `codes` (B, T) uint8."""
        logits, attention = self.network.forward_with_attention(codes)
        return logits, (logits / self.temperature).softmax(dim=1), attention


def export_onnx(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of an .onnx file, checked by onnx.checker, with the signature in its metadata.

    Raises
    ------
    ConfigError
        The packages that this needs are not installed.
    CheckpointError
        PyTorch cannot export this network.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter is written in it
    except ImportError as error:
        raise ConfigError(
            "--format onnx needs more packages: pip install -r requirements-onnx.txt "
            f"({one_line(str(error))})"
        ) from None
    with _exporting("onnx"):
        program = torch.onnx.export(
            ExportedModel(checkpoint),
            (_example(checkpoint),),
            dynamo=True,  # the exporter through TorchScript fixes the batch of the LSTM
            # By name: a `torch.export.Dim` of an LSTM's length is taken for a constant at some lengths.
            dynamic_shapes=({0: "batch", 1: "length"},),
            input_names=[INPUT],
            output_names=OUTPUTS,
            verbose=False,
        )
        proto = program.model_proto
    _tidy(proto)
    onnx.helper.set_model_props(proto, {SIGNATURE_KEY: signature_json(checkpoint, length=None)})
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def export_torchscript(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a TorchScript file (deprecated since PyTorch 2.10, and still working).

    Raises
    ------
    CheckpointError
        PyTorch cannot export this network.
    """
    buffer = io.BytesIO()
    with _exporting("torchscript"), torch.no_grad():
        # Traced, not scripted: a trace takes any Python, and the network has no branch that depends on data.
        module = torch.jit.trace(ExportedModel(checkpoint), (_example(checkpoint),), check_trace=False)
        torch.jit.save(torch.jit.freeze(module.eval()), buffer)
    return buffer.getvalue()


def export_program(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a torch.export file (.pt2), for rows of exactly `max_length` codes.

    Raises
    ------
    CheckpointError
        PyTorch cannot export this network.
    """
    buffer = io.BytesIO()
    with _exporting("torch-export"):
        codes = torch.from_numpy(encode_domains(EXAMPLE_NAMES, checkpoint.max_length))
        program = torch.export.export(
            ExportedModel(checkpoint), (codes,), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # places on the machine that exported
        torch.export.save(program, buffer)
    return buffer.getvalue()


EXPORTERS: dict[str, Callable[[Checkpoint], bytes]] = {
    "onnx": export_onnx,
    "torchscript": export_torchscript,
    "torch-export": export_program,
}


def _example(checkpoint: Checkpoint) -> Tensor:
    """Return codes of a length that is neither 1 nor the longest."""
    width = min(max(map(len, EXAMPLE_NAMES)), checkpoint.max_length)
    return torch.from_numpy(encode_domains(EXAMPLE_NAMES, width))


def _tidy(proto: "onnx.ModelProto") -> None:  # noqa: F821
    """Take out what the exporter notes about our source (places on this machine); name the outputs' axes."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""
    del proto.graph.metadata_props[:]
    proto.graph.doc_string = proto.doc_string = ""
    del proto.metadata_props[:]
    for output in proto.graph.output:
        names = ("batch", "length") if output.name == "attention" else ("batch",)
        for dimension, name in zip(output.type.tensor_type.shape.dim, names, strict=False):
            dimension.dim_param = name  # the exporter writes the formula that it found


@contextmanager
def _exporting(format: str) -> Iterator[None]:
    """Keep PyTorch's notes to its developers off stderr, and say in one line where it cannot export."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = one_line(str(error.__cause__ or error))  # torch.onnx puts its manual before the cause
        raise CheckpointError(f"PyTorch cannot export this network as {format}: {reason}") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
