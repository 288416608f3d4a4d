"""Hostile .onnx files: one line each, no other file opened, no more memory than a batch needs."""

import contextlib
import json
import resource
import sys

import numpy as np
import pytest

from data.feature_engineering import ALPHABET
from models import onnx_file as container
from models.onnx_file import read_metadata, read_onnx_file
from models.signature import ModelSignature, signature_json
from utils.errors import CheckpointError

onnx = pytest.importorskip("onnx", reason="needs: pip install -r requirements-onnx.txt")
pytest.importorskip("onnxruntime", reason="needs: pip install -r requirements-onnx.txt")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from models.onnx_classifier import OnnxClassifier  # noqa: E402

SIGNATURE = signature_json(ModelSignature(classes=("good", "bad"), benign_class="good"), None)


def model(*nodes, weights=(), signature=SIGNATURE, outputs=("logits", "probabilities", "attention")):
    """Return a model of these nodes."""
    codes = helper.make_tensor_value_info("codes", TensorProto.UINT8, ["batch", "length"])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "graph", [codes], results, list(weights))
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if signature is not None:
        helper.set_model_props(proto, {"signature": signature})
    return proto


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype), name)


def outputs_of(name):
    """Return the nodes that give all outputs the value `name`."""
    return [helper.make_node("Identity", [name], [n]) for n in ("logits", "probabilities", "attention")]


@pytest.fixture
def refused(tmp_path):
    """Return the one line with which a file of these bytes, or of this model, is refused, loading or run."""

    def refuse(given):
        path = tmp_path / "hostile.onnx"
        path.write_bytes(given if isinstance(given, bytes) else given.SerializeToString())
        with pytest.raises(CheckpointError) as caught:
            OnnxClassifier.load(path, "cpu").classify(["example.com"])
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 600
        return message

    return refuse


# ------------------------------------------------------------------ the good one


def test_a_plain_model_is_read(tmp_path):
    """Else the refusals below could be about something else."""
    nodes = [helper.make_node("Cast", ["codes"], ["numbers"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceSum", ["numbers", "axis"], ["sum"], keepdims=1)]
    nodes += [helper.make_node("Concat", ["sum", "sum"], ["sums"], axis=1), *outputs_of("sums")]
    path = tmp_path / "plain.onnx"
    path.write_bytes(model(*nodes, weights=[constant("axis", [1], "i8")]).SerializeToString())
    assert OnnxClassifier.load(path, "cpu").classify(["example.com"]).tolist() == [[0.5, 0.5]]


def test_the_metadata_is_what_the_library_reads(onnx_file):
    content, metadata = read_onnx_file(onnx_file)
    assert metadata == {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}


# ------------------------------------------------------------------ damage


def test_a_file_cut_anywhere(onnx_file, refused):
    content = onnx_file.read_bytes()
    for size in [0, 1, 2, 7, 100, *np.linspace(1000, len(content) - 1, 25).astype(int)]:
        assert "hostile.onnx: " in refused(content[:size])


def test_bytes_that_are_no_model(refused):
    draw = np.random.default_rng(0)
    for size in (1, 10, 1000, 100_000):
        for _ in range(5):
            assert "hostile.onnx: " in refused(draw.bytes(size))
    for content in (b"PK\x03\x04", b"example.com\n" * 50, b"\xff" * 100, b"\x80" * 100, b"\n" * 99):
        assert "hostile.onnx: " in refused(content)


def test_a_changed_byte_never_gives_a_traceback(onnx_file, tmp_path):
    """It may load, where the byte is a weight's."""
    content = bytearray(onnx_file.read_bytes())
    draw = np.random.default_rng(1)
    for _ in range(40):
        place = int(draw.integers(len(content)))
        old, content[place] = content[place], int(draw.integers(256))
        path = tmp_path / "changed.onnx"
        path.write_bytes(content)
        with contextlib.suppress(CheckpointError):
            assert OnnxClassifier.load(path, "cpu").classify(["example.com"]).shape == (1, 3)
        content[place] = old


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_onnx_file(path)


# ------------------------------------------------------------------ malice


@pytest.mark.parametrize("place", ["secret.bin", "../secret.bin", "/etc/hosts"])
def test_weights_in_another_file(refused, tmp_path, monkeypatch, place):
    (tmp_path / "secret.bin").write_bytes(b"\0" * 64)
    monkeypatch.chdir(tmp_path)
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1, 2], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=place)
    assert "it holds weights that lie in another file" in refused(model(*outputs_of("w"), weights=[tensor]))
    hidden = helper.make_node("Constant", [], ["w"], value=tensor)
    assert "it holds weights that lie in another file" in refused(model(hidden, *outputs_of("w")))


def test_a_loop_without_end(refused):
    state = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])], "body", [count, state[0]], [state[1]]
    )
    loop = helper.make_node("Loop", ["", "true"], [], body=body)
    value = constant("w", [[0, 0]], "f4")
    weights = [constant("true", True, "?"), value]
    assert "it holds a loop or a branch" in refused(model(loop, *outputs_of("w"), weights=weights))


def test_functions_and_sparse_weights(refused):
    proto = model(*outputs_of("w"), weights=[constant("w", [[0, 0]], "f4")])
    proto.functions.add(name="f", domain="d")
    assert "it holds functions" in refused(proto)
    proto = model(*outputs_of("w"), weights=[constant("w", [[0, 0]], "f4")])
    proto.graph.sparse_initializer.add()
    assert "it holds sparse weights" in refused(proto)


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in Linux's units")
@pytest.mark.parametrize("when", ["while loading", "in the run"])
def test_a_graph_that_asks_for_all_memory(refused, when):
    """Constants are folded while the file is loaded, what depends on the names is not."""
    value = helper.make_node("ReduceMax", ["numbers"], ["one"], keepdims=0)
    if when == "while loading":
        value = helper.make_node("Identity", ["w"], ["one"])
    nodes = [helper.make_node("Cast", ["codes"], ["numbers"], to=TensorProto.FLOAT), value]
    nodes += [helper.make_node("Expand", ["one", "shape"], ["big"]), *outputs_of("big")]
    weights = [constant("shape", [1, 2, 2**34], "i8"), constant("w", 0.0, "f4")]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "Available memory" in refused(model(*nodes, weights=weights))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kB"


def test_more_parts_than_any_export_has(refused, monkeypatch, onnx_file):
    read_metadata(onnx_file.read_bytes())
    monkeypatch.setattr(container, "MAX_FIELDS", 500)
    assert "more than 500 parts" in refused(onnx_file.read_bytes())


def test_an_operator_that_the_runtime_does_not_know(refused):
    node = helper.make_node("Steal", ["codes"], ["w"], domain="evil.example")
    assert "ONNX Runtime cannot load it: " in refused(model(node, *outputs_of("w")))


def test_outputs_that_are_none_of_ours(refused):
    weights = [constant("w", [[0, 0, 0]], "f4")]
    assert "the model's logits are float32 (1, 3), not (1, 2)" in refused(
        model(*outputs_of("w"), weights=weights)
    )
    weights = [constant("w", [[0, 0]], "f4")]
    nameless = model(helper.make_node("Identity", ["w"], ["x"]), weights=weights, outputs=("x",))
    assert "ONNX Runtime cannot run the model: " in refused(nameless)


# ------------------------------------------------------------------ the signature


def changed(**entries):
    return json.dumps(json.loads(SIGNATURE) | entries)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (None, "its metadata has no signature"),
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "not an export of this project"),
        (changed(format="other"), "not an export of this project"),
        (changed(format_version=2), "update it"),
        (changed(format_version="1"), "no valid format version"),
        (changed(alphabet=ALPHABET[::-1]), "alphabet"),
        (changed(classes=["good"]), "fewer than two"),
        (changed(classes=["good", "b\x1b[31m"]), "no texts"),
        (changed(benign_class="fine"), "lack the benign one"),
        (changed(temperature=0.0), "temperature"),
        (changed(temperature="NaN"), "'temperature' is missing or no float"),
        (changed(max_length=10**9), "length is out of range"),
        (changed(prior={"good": 0.5}), "prior"),
        (changed(thresholds={"0.01": "low"}), "thresholds"),
    ],
)
def test_a_signature_that_is_none(refused, signature, message):
    proto = model(*outputs_of("w"), weights=[constant("w", [[0, 0]], "f4")], signature=signature)
    assert message in refused(proto)
