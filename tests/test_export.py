"""Exports answer like the original whatever the padding and the company, or are refused."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import export
from data.feature_engineering import encode_domains
from models import exporting
from models.base_classifier import probabilities_from_logits
from models.checkpoint import load_checkpoint
from models.classifier import DomainClassifier
from models.export_check import RUNNERS, TOLERANCE, check_export, check_names
from models.signature import read_signature_json
from tests.toy_domains import MAX_LENGTH, toy_domains
from utils.errors import EXIT_FAILED, EXIT_USAGE, CheckpointError

NAMES = [*toy_domains(60, seed=5)[0], "a.b", "x" * MAX_LENGTH, "a-very-long-subdomain." * 5 + "example.com"]
PYTORCH_FORMATS = {"torchscript": "model.ts", "torch-export": "model.pt2"}


def run_export(checkpoint, format, output):
    """Run the script; return its exit code."""
    return export.main(["--checkpoint", str(checkpoint), "--format", format, "--output", str(output)])


@pytest.fixture(scope="module")
def exported(rich_checkpoint, tmp_path_factory):
    """Return format → file for the two formats that PyTorch reads."""
    folder = tmp_path_factory.mktemp("exported")
    files = {format: folder / name for format, name in PYTORCH_FORMATS.items()}
    for format, file in files.items():
        assert run_export(rich_checkpoint, format, file) == 0
    return files


# ------------------------------------------------------------------ the same answers


def assert_same_answers(run, checkpoint_file, widths):
    """Compare all outputs with the classifier's, in batches and paddings of this test's own choice."""
    classifier = DomainClassifier.load(checkpoint_file)
    expected = classifier.classify(NAMES)
    assert np.ptp(expected, axis=0).min() > 0.3, "answers that hardly differ would prove nothing"
    codes = encode_domains(NAMES, MAX_LENGTH)
    order = np.random.default_rng(0).permutation(len(NAMES))
    for width in widths:
        padded = np.pad(codes, ((0, 0), (0, width - MAX_LENGTH)))
        for batch_size in (1, 2, 7, len(NAMES)):
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                logits, probabilities, attention = run(np.ascontiguousarray(padded[rows]))
                assert probabilities == pytest.approx(expected[rows], abs=1e-6)
                assert probabilities_from_logits(logits, 0.8) == pytest.approx(expected[rows], abs=1e-6)
                assert attention.sum(axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
                assert (attention[padded[rows] == 0] == 0).all(), "padding gets no attention"


def test_onnx_answers_alike_under_every_padding(onnx_file, rich_checkpoint):
    run = RUNNERS["onnx"](onnx_file.read_bytes())
    assert_same_answers(run, rich_checkpoint, widths=(MAX_LENGTH, MAX_LENGTH + 1, 64))


@pytest.mark.parametrize("format", PYTORCH_FORMATS)
def test_the_other_formats_answer_alike(exported, rich_checkpoint, format):
    run = RUNNERS[format](exported[format].read_bytes())
    widths = (MAX_LENGTH, MAX_LENGTH + 1, 64) if format == "torchscript" else (MAX_LENGTH,)
    assert_same_answers(run, rich_checkpoint, widths)


def test_short_batches_need_no_padding_to_the_maximum(onnx_file, exported, rich_checkpoint):
    expected = DomainClassifier.load(rich_checkpoint).classify(["a.b", "cd.e"])
    files = {"onnx": onnx_file, "torchscript": exported["torchscript"]}
    for run in (RUNNERS[format](file.read_bytes()) for format, file in files.items()):
        for width in (4, 5, 6):
            _, probabilities, _ = run(encode_domains(["a.b", "cd.e"], width))
            assert probabilities == pytest.approx(expected, abs=1e-6)
        assert run(encode_domains(["a"], 1))[0].shape == (1, 3), "one name of one character"


# ------------------------------------------------------------------ what travels with the weights


def test_the_onnx_file_is_a_good_one_and_names_no_place(onnx_file):
    import onnx

    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    (codes,) = model.graph.input
    assert codes.name == "codes"
    assert [d.dim_param for d in codes.type.tensor_type.shape.dim] == ["batch", "length"]
    assert [output.name for output in model.graph.output] == ["logits", "probabilities", "attention"]
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b".py" not in onnx_file.read_bytes(), "no path of the machine that exported"


def test_the_signature_comes_back(onnx_file, exported, rich_checkpoint):
    import onnx

    texts = {entry.key: entry.value for entry in onnx.load(onnx_file).metadata_props}
    beside = [file.with_name(f"{file.name}.json").read_text("utf-8") for file in exported.values()]
    checkpoint = load_checkpoint(rich_checkpoint)
    for text in (texts["signature"], *beside):
        assert read_signature_json(text).signature_dict() == checkpoint.signature_dict()
    shapes = [json.loads(text)["input"]["codes"] for text in (texts["signature"], *beside)]
    assert shapes == [
        ["uint8", "batch", "length"],
        ["uint8", "batch", "length"],
        ["uint8", "batch", MAX_LENGTH],
    ]


def test_no_place_of_this_machine_is_in_an_export(exported):
    for file in exported.values():
        assert str(export.SAMPLE.parent.parent).encode() not in file.read_bytes()


def test_torchscript_says_that_it_is_deprecated(rich_checkpoint, tmp_path, capsys):
    assert run_export(rich_checkpoint, "torchscript", tmp_path / "model.ts") == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "deprecates TorchScript" in captured.err
    assert "on 1,200 names no probability moved by more than" in captured.out


# ------------------------------------------------------------------ refusals


def test_the_check_asks_names_of_every_length():
    names = check_names(1_200, MAX_LENGTH)
    assert len(names) == 1_200
    assert {len(name) for name in names} == set(range(1, MAX_LENGTH + 9))


@pytest.mark.parametrize("format", PYTORCH_FORMATS)
def test_an_export_of_other_weights_is_refused(rich_checkpoint, tmp_path, capsys, monkeypatch, format):
    """One bias is off by a thousandth."""
    make = exporting.EXPORTERS[format]

    def export_wrongly(checkpoint):
        bias = checkpoint.model_state_dict["classifier.bias"] + torch.tensor([0.001, 0, 0])
        return make(
            replace(checkpoint, model_state_dict=checkpoint.model_state_dict | {"classifier.bias": bias})
        )

    monkeypatch.setitem(exporting.EXPORTERS, format, export_wrongly)
    output = tmp_path / PYTORCH_FORMATS[format]
    assert run_export(rich_checkpoint, format, output) == EXIT_FAILED
    assert "not written: its answers differ by 0.000" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class PaddingMatters(exporting.ExportedModel):
    """Takes padding for a character."""

    def forward(self, codes):
        logits, _, attention = super().forward(codes)
        logits = logits + 0.001 * (codes == 0).sum(dim=1, keepdim=True) * torch.tensor([1.0, 0.0, 0.0])
        return logits, (logits / self.temperature).softmax(dim=1), attention


def test_an_export_for_which_padding_matters_is_refused(rich_checkpoint, monkeypatch):
    checkpoint = load_checkpoint(rich_checkpoint)
    monkeypatch.setattr(exporting, "ExportedModel", PaddingMatters)
    with pytest.raises(CheckpointError, match="its answers differ by"):
        check_export(checkpoint, exporting.export_torchscript(checkpoint), "torchscript")


def test_not_a_number_is_no_agreement(rich_checkpoint, monkeypatch):
    monkeypatch.setitem(
        RUNNERS, "torchscript", lambda content: lambda codes: [np.full((len(codes), 3), np.nan, "f4")] * 3
    )
    with pytest.raises(CheckpointError, match="differ by nan"):
        check_export(load_checkpoint(rich_checkpoint), b"", "torchscript")


def test_what_pytorch_cannot_export_is_said_in_one_line(rich_checkpoint, tmp_path, capsys, monkeypatch):
    class Branches(exporting.ExportedModel):
        def forward(self, codes):
            return super().forward(codes if codes.sum().item() > 7 else codes + 1)

    monkeypatch.setattr(exporting, "ExportedModel", Branches)
    assert run_export(rich_checkpoint, "torch-export", tmp_path / "model.pt2") == EXIT_FAILED
    message = capsys.readouterr().err
    assert message.startswith("export.py: PyTorch cannot export this network as torch-export: ")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "name"), [("onnx", "model.pt"), ("torch-export", "model.onnx")])
def test_an_ending_that_its_readers_would_not_know(rich_checkpoint, tmp_path, capsys, format, name):
    assert run_export(rich_checkpoint, format, tmp_path / name) == EXIT_USAGE
    assert f"a file of --format {format} ends in ." in capsys.readouterr().err


@pytest.mark.parametrize("format", ["compact", "torchscript"])
def test_the_checkpoint_is_not_written_over(rich_checkpoint, tmp_path, capsys, format):
    path, link = tmp_path / "best.pt", tmp_path / "link.pt"
    path.write_bytes(rich_checkpoint.read_bytes())
    link.symlink_to(path)
    assert run_export(path, format, link) == EXIT_USAGE
    assert capsys.readouterr().err == f"export.py: --output {link} is the checkpoint\n"
    assert path.read_bytes() == rich_checkpoint.read_bytes()


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_the_command(rich_checkpoint, tmp_path, capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert run_export(rich_checkpoint, "onnx", tmp_path / "model.onnx") == EXIT_USAGE
    assert "pip install -r requirements-onnx.txt" in capsys.readouterr().err


# ------------------------------------------------------------------ compact


def test_compact_is_smaller_and_answers_alike(rich_checkpoint, tmp_path, capsys):
    output = tmp_path / "small.pt"
    assert run_export(rich_checkpoint, "compact", output) == 0
    said = capsys.readouterr().out
    assert "no probability moved by more than" in said
    sizes = [f"{path.stat().st_size:,}" for path in (output, rich_checkpoint)]
    assert said.startswith(f"{output}: {sizes[0]} bytes; {rich_checkpoint} had {sizes[1]}\n")
    assert output.stat().st_size < 0.95 * rich_checkpoint.stat().st_size
    before, after = (DomainClassifier.load(path).classify(NAMES) for path in (rich_checkpoint, output))
    assert np.abs(before - after).max() <= export.COMPACT_TOLERANCE
    assert load_checkpoint(output).config.data.root == "data/lists", "no path of the machine that trained"


def test_compact_makes_a_model_without_ngram_tables_no_smaller(tiny_checkpoint, tmp_path):
    """As the documents say: nothing else of it is kept otherwise."""
    output = tmp_path / "copy.pt"
    assert run_export(tiny_checkpoint, "compact", output) == 0
    assert output.stat().st_size == pytest.approx(tiny_checkpoint.stat().st_size, rel=0.02)


def test_a_compact_file_that_answers_otherwise_is_refused(rich_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "COMPACT_TOLERANCE", 0.0)
    output = tmp_path / "small.pt"
    assert run_export(rich_checkpoint, "compact", output) == EXIT_FAILED
    assert "not written: a probability would move by" in capsys.readouterr().err
    assert not output.exists()


def test_the_tolerance_is_the_promised_one():
    assert TOLERANCE == 1e-4
