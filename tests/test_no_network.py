"""Training and prediction never use the network: both run with sockets forbidden.

Two fences. Python's audit hook writes down every look-up and every internet socket of the process and of
those that it starts, and forbids it. On Linux the kernel forbids them too (seccomp), so that no library in C
can.
"""

import ctypes
import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Imported by every Python process that has its folder in PYTHONPATH.
FENCE = """
import os, sys
def forbid(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.connect") or (
        event == "socket.__new__" and arguments[1] in (2, 10)  # AF_INET, AF_INET6
    ):
        if event == "socket.connect" and isinstance(arguments[1], (str, bytes)):
            return  # a Unix socket: not the network
        with open(os.environ["ATTEMPTS"], "a") as file:
            file.write(f"{event} {arguments}\\n")
        raise PermissionError("the network is forbidden")
sys.addaudithook(forbid)
"""
TRY = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    print(error)
"""
SMALL = {
    "data.root": ROOT / "data" / "sample",
    "data.workers": 2,
    "data.max_per_class": 300,
    "training.epochs": 1,
    "model.conv_filters": "[8]",
    "model.lstm_units": 4,
    "evaluation.bootstrap_resamples": 0,
}


def forbid_internet_sockets():
    """Let the kernel end this process where it asks for an internet socket (to be called in a child)."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return
    number_of_socket = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    kill, allow = 0x80000000, 0x7FFF0000
    load, equal, give = 0x20, 0x15, 0x06  # BPF: load a word; jump if equal; return
    program = [
        (load, 0, 0, 0),  # number of the system call
        (equal, 0, 4, number_of_socket),
        (load, 0, 0, 16),  # its first argument: the address family
        (equal, 1, 0, 2),  # AF_INET
        (equal, 0, 1, 10),  # AF_INET6
        (give, 0, 0, kill),
        (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, header, 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


@pytest.fixture
def fenced(tmp_path):
    """Run Python with both fences; return what it did and the attempts."""
    fence = tmp_path / "fence"
    fence.mkdir()
    (fence / "sitecustomize.py").write_text(FENCE)
    attempts = tmp_path / "attempts.txt"

    def run(*arguments, kernel=True):
        environment = os.environ | {
            "PYTHONPATH": str(fence),
            "ATTEMPTS": str(attempts),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            preexec_fn=forbid_internet_sockets if kernel else None,
        )
        return done, attempts.read_text() if attempts.exists() else ""

    return run


def test_the_fences_hold(fenced):
    """Were they open, the test below would show nothing."""
    done, attempts = fenced("-c", TRY)
    assert done.stdout == "the network is forbidden\n"
    assert "192.0.2.1" in attempts


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_the_kernels_fence_holds(fenced):
    done, _ = fenced("-S", "-c", TRY)  # without the hook
    assert done.returncode < 0


@pytest.mark.slow
def test_training_and_prediction_do_without_the_network(fenced, tmp_path):
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    done, attempts = fenced(ROOT / "train.py", "--config", ROOT / "config_test.yaml", *settings)
    assert (done.returncode, attempts) == (0, ""), done.stderr
    assert list((tmp_path / "runs" / "latest" / "tensorboard").glob("events*")), "all of it ran"
    names = tmp_path / "names.txt"
    names.write_text("https://example.com/path\nbücher.de\nxn--bcher-kva.de\n192.0.2.1\n", encoding="utf-8")
    done, attempts = fenced(ROOT / "predict.py", "--input", names)
    assert (done.returncode, attempts) == (0, ""), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["error"] is None for row in rows] == [True, True, True, False]
