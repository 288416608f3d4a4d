"""docs/SCALING.md: its torchrun lines are good ones, and its tables are what their script prints."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import scaling_on_paper

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "SCALING.md").read_text(encoding="utf-8")
JOINED = TEXT.replace("\\\n", " ")
COMMANDS = re.findall(r"^(?:srun )?(torchrun .*?) ((?:train|predict)\.py) (.*)$", JOINED, re.MULTILINE)


def test_there_are_commands():
    assert len(COMMANDS) == len(re.findall(r"^(?:srun )?torchrun ", TEXT, re.MULTILINE)) >= 6


@pytest.mark.parametrize(("launcher", "script", "arguments"), COMMANDS)
def test_torchrun_and_the_script_accept_every_command(launcher, script, arguments):
    from torch.distributed.run import parse_args

    options = parse_args([*shlex.split(launcher)[1:], script, *shlex.split(arguments, comments=True)])
    assert options.training_script == script
    parse = importlib.import_module(script.removesuffix(".py")).parse_arguments
    assert vars(parse(options.training_script_args))


def test_the_tables_are_of_the_shipped_model():
    """Where this fails: python benchmarks/scaling_on_paper.py --write"""
    _, _, rest = TEXT.partition(f"{scaling_on_paper.BEGIN}\n")
    speed = scaling_on_paper.written_speed(TEXT)
    assert rest.partition(f"\n{scaling_on_paper.END}")[0] == scaling_on_paper.describe(speed)


def test_a_ring_sends_the_gradient_twice_but_for_its_own_part():
    assert scaling_on_paper.ring_bytes(1000, 1) == 0
    assert scaling_on_paper.ring_bytes(1000, 2) == 4000
    assert scaling_on_paper.ring_bytes(1000, 8) == pytest.approx(7000)


def test_efficiency_is_the_share_of_computing():
    link = scaling_on_paper.Link("made up", 8e8, 0.0)  # 8 MB from each of 2 processes: as long as computing
    compute_s = scaling_on_paper.NAMES_PER_GPU_AND_STEP / scaling_on_paper.NAMES_PER_S_PER_GPU
    exchange_s, efficiency = scaling_on_paper.expected_efficiency(round(compute_s * 8e8 / 4), 2, link)
    assert exchange_s == pytest.approx(compute_s)
    assert efficiency == pytest.approx(0.5)
