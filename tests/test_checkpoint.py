"""Checkpoints: what is written loads again, plainly; what is not whole, not ours or hostile is refused."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.feature_engineering import ALPHABET, NUM_CODES
from models.checkpoint import FORMAT_VERSION, load_checkpoint, save_checkpoint
from models.classifier import DomainClassifier
from models.cnn_lstm_model import CNN_LSTM_Model
from tests.test_model import random_codes
from utils.errors import CheckpointError

PROJECT = Path(__file__).parent.parent


# ------------------------------------------------------------------ round trip


def test_a_checkpoint_comes_back_as_it_was(tiny_checkpoint, tmp_path):
    first = load_checkpoint(tiny_checkpoint)
    save_checkpoint(tmp_path / "again.pt", first)
    second = load_checkpoint(tmp_path / "again.pt")
    assert first.model_state_dict.keys() == second.model_state_dict.keys()
    for name, weight in first.model_state_dict.items():
        assert torch.equal(weight, second.model_state_dict[name]), name
    assert replace(first, model_state_dict={}) == replace(second, model_state_dict={})
    assert first.classes == ("benign", "phishing", "malware")
    assert first.temperature == 1.25
    assert first.thresholds == {"0.01": 0.9, "0.001": 0.9, "0.0001": None}
    assert first.config.model.conv_filters == (24, 16)


def test_the_built_model_gives_the_same_logits_and_is_in_evaluation_mode(tiny_checkpoint):
    first = load_checkpoint(tiny_checkpoint)
    one, two = first.build_model(), load_checkpoint(tiny_checkpoint).build_model()
    codes = random_codes([9, 3, 20], 20)
    assert not one.training
    assert torch.equal(one(codes), two(codes))
    assert one(codes).std() > 0


def test_plain_torch_reads_the_documented_keys(good_content):
    assert isinstance(good_content, dict)
    keys = {"model_state_dict", "config", "history", "classes", "alphabet", "max_length", "temperature"}
    assert keys <= good_content.keys()
    assert good_content["format_version"] == FORMAT_VERSION
    assert all(isinstance(column, list) for column in good_content["history"].values())
    assert isinstance(good_content["config"]["model"], dict)


def test_the_trainers_state_is_kept_where_there_is_one(tiny_checkpoint, tmp_path):
    state = {"epoch": 3, "random": {"cpu": torch.get_rng_state()}, "history": {"loss": [0.5]}}
    save_checkpoint(tmp_path / "last.pt", replace(load_checkpoint(tiny_checkpoint), trainer_state=state))
    loaded = load_checkpoint(tmp_path / "last.pt").trainer_state
    assert loaded["epoch"] == 3
    assert torch.equal(loaded["random"]["cpu"], state["random"]["cpu"])
    assert load_checkpoint(tiny_checkpoint).trainer_state is None


def test_the_compact_form_halves_the_ngram_tables_and_hardly_moves_a_logit(tiny_checkpoint, tmp_path):
    plain = load_checkpoint(tiny_checkpoint)
    sizes = replace(plain.config.model, ngram_sizes=(2, 3), ngram_buckets=5000, evidence_ngrams=0)
    config = replace(plain.config, model=sizes)
    torch.manual_seed(0)
    weights = CNN_LSTM_Model(NUM_CODES, 3, config).state_dict()
    full = replace(plain, config=config, model_state_dict=weights, trainer_state={"epoch": 1})
    save_checkpoint(tmp_path / "full.pt", full)
    save_checkpoint(tmp_path / "compact.pt", full.compact())
    compact = load_checkpoint(tmp_path / "compact.pt")
    assert (tmp_path / "compact.pt").stat().st_size < 0.6 * (tmp_path / "full.pt").stat().st_size
    assert compact.trainer_state is None
    codes = random_codes([9, 3, 20], 20)
    exact, rounded = full.build_model()(codes), compact.build_model()(codes)
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 1e-3


# ------------------------------------------------------------------ writing


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tiny_checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "best.pt"
    path.write_bytes(tiny_checkpoint.read_bytes())

    def full_disk(_content, file):
        Path(file).write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed\nmore")

    monkeypatch.setattr(torch, "save", full_disk)
    expected = (
        r"best\.pt: cannot be written: PytorchStreamWriter failed writing file data/3: file write failed$"
    )
    with pytest.raises(CheckpointError, match=expected):
        save_checkpoint(path, load_checkpoint(tiny_checkpoint))
    assert path.read_bytes() == tiny_checkpoint.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


def test_a_folder_that_is_not_there_is_one_line(tiny_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"absent/best\.pt: cannot be written: .*No such file"):
        save_checkpoint(tmp_path / "absent" / "best.pt", load_checkpoint(tiny_checkpoint))


# ------------------------------------------------------------------ no file, no whole file


def test_a_missing_file_is_answered_with_its_neighbours(tmp_path, tiny_checkpoint):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "absent.pt")
    assert str(caught.value) == f"{tmp_path / 'absent.pt'}: no such checkpoint"
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tiny_checkpoint.with_name("bets.pt"))
    assert str(caught.value).endswith(f"no such checkpoint; in {tiny_checkpoint.parent} there are: best.pt")


def test_a_folder_is_called_one(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    expected = f"{tmp_path}: is a folder: name its file, for example {tmp_path / 'best.pt'}"
    assert str(caught.value) == expected


def test_an_onnx_file_is_called_one(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch" * 50)
    with pytest.raises(CheckpointError, match=r"model\.onnx: an \.onnx file, which only predict\.py reads"):
        load_checkpoint(tmp_path / "model.onnx")


def test_a_file_cut_short_anywhere_is_refused(tiny_checkpoint, refusal):
    whole = tiny_checkpoint.read_bytes()
    for length in {0, 1, 2, 30, len(whole) - 1, len(whole) - 22, *range(0, len(whole), len(whole) // 40)}:
        assert "damaged, cut short, or no PyTorch checkpoint" in refusal(whole[:length]), length


def test_one_changed_byte_anywhere_is_refused_or_harmless(tiny_checkpoint, tmp_path):
    whole, path = tiny_checkpoint.read_bytes(), tmp_path / "changed.pt"
    good = load_checkpoint(tiny_checkpoint)
    refused = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 150).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            refused += 1
            continue
        # a byte of the zip format's own that nothing depends on: names, dates, padding
        for name, weight in good.model_state_dict.items():
            assert torch.equal(weight, loaded.model_state_dict[name]), place
        assert loaded.config == good.config
    assert refused > 50


def test_random_bytes_are_refused(refusal):
    for seed in range(20):
        refusal(np.random.default_rng(seed).bytes(seed * 100))


@pytest.mark.parametrize("content", [{}, [1, 2], "text", 3.5, {"state_dict": {}}, {"format": "other"}])
def test_what_another_program_saved_is_refused(refusal, content):
    assert "not a checkpoint of this project" in refusal(content)


def test_an_older_containers_pickle_is_refused(refusal, tmp_path):
    torch.save({"format": "x"}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "damaged, cut short, or no PyTorch checkpoint" in refusal((tmp_path / "old.pt").read_bytes())


# ------------------------------------------------------------------ what does not hold together


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("format_version", FORMAT_VERSION + 1, f"has format version {FORMAT_VERSION + 1}; .*: update it"),
        ("format_version", "1", "has no valid format version. Got '1'"),
        ("format_version", 0, "has no valid format version. Got 0"),
        ("alphabet", ALPHABET[::-1], "its alphabet is not this program's"),
        ("config", None, "the entry 'config' is missing or no mapping"),
        ("history", 3, "the entry 'history' is missing or no mapping"),
        ("temperature", 1, "the entry 'temperature' is missing or no float"),
        ("temperature", float("nan"), "its temperature or its length is out of range"),
        ("temperature", 0.0, "its temperature or its length is out of range"),
        ("max_length", 100_000, "its temperature or its length is out of range"),
        ("classes", ["benign"], "its class names are fewer than two, repeated, or lack the benign one"),
        ("classes", ["benign", "bad", "bad"], "its class names are fewer than two, repeated, or lack"),
        ("classes", ["good", "bad"], "its class names are fewer than two, repeated, or lack the benign one"),
        ("classes", ["benign", "\x1b[31mbad"], "its class names are no texts"),
        ("classes", ["benign", 7], "its class names are no texts"),
        ("classes", ["benign", "phishing"], "its prior does not give a share for each class"),
        ("prior", {"benign": 0.5, "phishing": 0.5, "malware": 0.0}, "its prior does not give a share"),
        ("prior", {"benign": "much"}, "its prior does not give a share"),
        ("thresholds", {"0.01": "high"}, "its thresholds are no numbers"),
        ("config", {"model": {"lstm_units": 9}}, "the weights do not fit the model's configuration"),
        (
            "config",
            {"model": {"lstm_unit": 9}, "x": 1},
            "2 problem.* - x: unknown key; .* - model.lstm_unit: unk",
        ),
        ("model_state_dict", {}, "the weights do not fit the model's configuration"),
        ("model_state_dict", {7: torch.zeros(1)}, "the weight 7 is no tensor with a name"),
        ("model_state_dict", {"a\x1b": 3}, r"the weight 'a\\x1b' is no tensor with a name"),
    ],
)
def test_an_entry_that_makes_no_sense_is_named(good_content, refusal, key, value, expected):
    assert re.search(expected, refusal(good_content | {key: value}))


@pytest.mark.parametrize("key", ["model_state_dict", "config", "history", "classes", "max_length", "prior"])
def test_a_missing_entry_is_named(good_content, refusal, key):
    del good_content[key]
    assert f"the entry '{key}' is missing" in refusal(good_content)


def test_a_weight_of_another_shape_or_type_is_named(good_content, refusal):
    weights = good_content["model_state_dict"]
    for wrong in (weights["classifier.bias"][:2], weights["classifier.bias"].double()):
        spoiled = good_content | {"model_state_dict": weights | {"classifier.bias": wrong.clone()}}
        assert refusal(spoiled) == "the weights do not fit the model's configuration: classifier.bias"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_weight_that_is_no_finite_number_is_refused(good_content, refusal, number):
    weights = good_content["model_state_dict"]
    weights["classifier.bias"][1] = number
    assert refusal(good_content) == "the weight classifier.bias holds numbers that are not finite"


def test_weights_that_overflow_give_an_error_and_no_answer(good_content, tmp_path):
    for name in ("classifier.weight", "classifier.bias"):
        good_content["model_state_dict"][name].fill_(3e38)
    torch.save(good_content, tmp_path / "huge.pt")
    classifier = DomainClassifier.load(tmp_path / "huge.pt")
    with pytest.raises(CheckpointError, match="the model's logits are no finite numbers"):
        classifier.classify(["example.com"])
