"""Which device runs the model: what is asked for or an error, never a silent CPU."""

import pytest
import torch

from models.device import process_device, resolve_device, uses_bfloat16
from models.model_trainer import ModelTrainer
from tests.test_trainer import toy_data, toy_model
from tests.toy_domains import toy_config
from utils.errors import ConfigError


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with so many CUDA cards and perhaps an Apple GPU."""

    def pretend(*, cards=0, apple=False, bfloat16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Made-up Card")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return pretend


@pytest.mark.parametrize(
    ("cards", "apple", "kind", "reason"),
    [(1, True, "cuda", "Made-up Card"), (0, True, "mps", "Apple GPU"), (0, False, "cpu", "no GPU found")],
)
def test_auto_takes_the_best_there_is_and_says_why(machine, cards, apple, kind, reason):
    machine(cards=cards, apple=apple)
    device, why = resolve_device("auto")
    assert device.type == kind
    assert reason in why


def test_what_is_asked_for_is_taken(machine):
    machine(cards=2, apple=True)
    for name in ("cpu", "mps", "cuda", "cuda:0", "cuda:1"):
        assert resolve_device(name) == (torch.device(name), "as asked")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cuda", "--device cuda: PyTorch .* finds no CUDA GPU; try --device cpu"),
        ("cuda:0", "--device cuda:0: PyTorch .* finds no CUDA GPU"),
        ("mps", "--device mps: this machine has no Apple GPU"),
    ],
)
def test_a_device_that_is_not_there_is_an_error(machine, name, expected):
    machine()
    with pytest.raises(ConfigError, match=expected):
        resolve_device(name)


def test_a_card_beyond_the_last_is_an_error(machine):
    machine(cards=2)
    with pytest.raises(
        ConfigError, match=r"--device cuda:2: this machine has 2 CUDA GPU\(s\), numbered from 0"
    ):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "mps:1"])
def test_a_name_that_no_device_has_is_an_error(machine, name):
    machine(cards=9, apple=True)
    with pytest.raises(ConfigError, match="--device must be auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_bfloat16_on_a_card_that_has_it_and_on_one_that_has_not(machine):
    card = torch.device("cuda")
    machine(cards=1, bfloat16=True)
    assert [uses_bfloat16(precision, card) for precision in ("auto", "bf16", "fp32")] == [True, True, False]
    machine(cards=1, bfloat16=False)
    assert not uses_bfloat16("auto", card)
    with pytest.raises(ConfigError, match="bf16 does not work on this CUDA"):
        uses_bfloat16("bf16", card)


def test_each_process_has_a_card_of_its_own(machine):
    machine(cards=2)
    for name in ("auto", "cuda"):
        assert [process_device(name, rank) for rank in (0, 1)] == [
            torch.device("cuda:0"),
            torch.device("cuda:1"),
        ]
    assert process_device("cpu", 1) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"--device cuda:2: this machine has 2 CUDA GPU"):
        process_device("auto", 2)
    with pytest.raises(ConfigError, match="--device cuda:1: several processes cannot share one GPU"):
        process_device("cuda:1", 0)
    machine(apple=True)
    assert process_device("auto", 1) == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device mps: several processes cannot share one GPU"):
        process_device("mps", 0)


@pytest.mark.parametrize(("precision", "allowed"), [("auto", True), ("bf16", True), ("fp32", False)])
def test_training_in_float32_rounds_no_factor_and_other_training_may(monkeypatch, precision, allowed):
    monkeypatch.setattr("models.training_step.uses_bfloat16", lambda *_: False)
    seen = []

    def note(*_):
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return {}

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    ModelTrainer(toy_model(), toy_config(epochs=1, precision=precision), metrics=note).train(
        *toy_data(60, 20)
    )
    assert seen == [(allowed, allowed)]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_cuda_learns_what_the_cpu_learns(precision):
    config = toy_config(epochs=2, precision=precision)
    expected = ModelTrainer(toy_model(), config, "cpu").train(*toy_data())
    history = ModelTrainer(toy_model(), config, "cuda").train(*toy_data())
    assert history["loss"] == pytest.approx(expected["loss"], abs=0.1)  # other dropout
