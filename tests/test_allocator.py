"""The allocator keeps what was freed, where it is glibc's and nobody else has set it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import predict
from models.allocator import _is_glibc, keep_freed_memory
from models.classifier import DomainClassifier

PROJECT = Path(__file__).parent.parent
ROUNDS, BLOCKS, BLOCK_BYTES = 20, 8, 16 * 2**20
# Takes and frees 8 blocks of 16 MiB 20 times; prints whether the setting was taken and the page faults.
PROGRAM = f"""
import resource, sys
from models.allocator import keep_freed_memory
kept = sys.argv[1] == "keep" and keep_freed_memory()
def step():
    blocks = [b"x" * {BLOCK_BYTES} for _ in range({BLOCKS})]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    step()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
glibc_only = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not _is_glibc(), reason="these settings are glibc's"
)


def measure(mode, **environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={"PYTHONPATH": str(PROJECT)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = done.stdout.split()
    return kept == "1", int(faults)


@glibc_only
def test_freed_blocks_are_not_faulted_in_again():
    kept, faults = measure("keep")
    assert kept
    assert faults < BLOCK_BYTES // os.sysconf("SC_PAGE_SIZE"), "fewer than one block of 160 has"
    assert measure("leave")[1] > 10 * (faults + 1), "without the setting there are more: the test measures it"


@glibc_only
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_what_the_user_has_set_stays(name, monkeypatch):
    monkeypatch.setenv(name, "")
    assert not keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert not keep_freed_memory()


def test_predict_sets_it_before_the_model_is_loaded(tiny_checkpoint, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("models.allocator.keep_freed_memory", lambda: calls.append("allocator"))
    load = DomainClassifier.load
    monkeypatch.setattr(DomainClassifier, "load", lambda *given: calls.append("model") or load(*given))
    (tmp_path / "names.txt").write_text("example.com\n", encoding="utf-8")
    files = ["--input", str(tmp_path / "names.txt"), "--output", str(tmp_path / "out.jsonl")]
    assert predict.main([*files, "--checkpoint", str(tiny_checkpoint), "--device", "cpu"]) == 0
    assert calls == ["allocator", "model"]
