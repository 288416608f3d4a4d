"""Which device runs the model: what is asked for or an error, never a silent CPU."""

import pytest
import torch

from models.device import resolve_device, uses_bfloat16
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
