"""Checkpoints made to do harm: nothing in a file is executed, and no memory is taken on its word."""

import copy
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from models.checkpoint import load_checkpoint
from tests.hostile_checkpoints import Call, Global, container, dumps, tensor

PROJECT = Path(__file__).parent.parent
ZEROS = struct.pack("<f", 0.0)
TERA = 2**40


class Executed:
    """Pickles as a call of `Path.touch`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


# ------------------------------------------------------------------ code


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("as_container", [False, True])
def test_a_pickle_with_code_is_refused_and_not_executed(refusal, tmp_path, protocol, as_container):
    marker = tmp_path / "executed"
    pickled = pickle.dumps({"format": "x", "weights": Executed(marker)}, protocol=protocol)
    message = refusal(container(pickled) if as_container else pickled)
    assert "refused: " in message or not as_container
    assert not marker.exists()
    pickle.loads(pickled)  # noqa: S301 - the attack itself works
    assert marker.exists()


def test_an_object_that_torch_saved_is_refused_and_not_executed(refusal, good_content, tmp_path):
    marker = tmp_path / "executed"
    message = refusal(good_content | {"metadata": {"command": Executed(marker)}})
    assert "refused: it names " in message
    assert not marker.exists()


def test_nothing_is_executed_even_where_the_check_before_loading_misses_it(refusal, tmp_path, monkeypatch):
    monkeypatch.setattr("models.checkpoint.refuse_bad_pickle", lambda data: None)
    marker = tmp_path / "executed"
    message = refusal(container(pickle.dumps(Executed(marker), protocol=2)))
    assert "refused: not a plain dictionary of tensors and builtins" in message
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "bytearray"),  # lets a few bytes take any memory, although torch trusts it
        ("_codecs", "encode"),  # the same, by doubling
        ("torch._utils", "_rebuild_meta_tensor_no_storage"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch.nn.parameter", "Parameter"),
        ("torch", "FloatTensor"),
        ("torch", "Storage.x"),
        ("collections", "OrderedDict.fromkeys"),
    ],
)
def test_a_name_that_no_checkpoint_needs_is_refused_before_it_is_looked_up(refusal, module, name):
    message = refusal(container(dumps({"format": Call(Global(module, name), TERA)})))
    assert message == f"refused: it names {module}.{name}, which no checkpoint needs"


def test_an_instruction_that_no_checkpoint_needs_is_refused(refusal):
    changed_object = dumps({"format": Call(Global("collections", "OrderedDict"))})
    changed_object = changed_object[:-1] + dumps({"items": 3})[2:-1] + pickle.BUILD + b"."
    assert refusal(container(changed_object)) == (
        "refused: it holds the instruction BUILD, which no checkpoint needs"
    )


def test_a_terminals_escape_sequences_do_not_reach_the_message(refusal):
    assert "\x1b" not in refusal(container(dumps({"format": Global("\x1b[31mos", "system")})))


# ------------------------------------------------------------------ containers


def test_a_compressed_container_is_refused(refusal):
    bomb = container(dumps({}), {"0": b"\0" * 10**7}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 20_000
    assert refusal(bomb) == "refused: holds compressed entries, which no checkpoint has"


def test_entries_that_share_their_bytes_are_refused(refusal, tmp_path):
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dumps({}))
        archive.writestr("archive/data/0", b"\0" * 100_000)
        for number in range(1, 1000):
            again = copy.copy(archive.filelist[1])
            again.filename = f"archive/data/{number}"
            archive.filelist.append(again)
    assert "its entries claim more bytes than the file has" in refusal(path.read_bytes())


@pytest.mark.parametrize("name", ["archive/other.pkl", "data.pkl.txt"])
def test_a_container_without_a_pickle_is_refused(refusal, name):
    assert "a zip file without one data.pkl" in refusal(container(dumps({}), name=name))


def test_a_container_with_two_pickles_is_refused(refusal, tmp_path):
    """One could be shown to the check and the other be loaded."""
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dumps({}))
        archive.writestr("archive/DATA.PKL", dumps({"format": Global("os", "system")}))
    assert "a zip file without one data.pkl" in refusal(path.read_bytes())


def test_a_pickle_that_is_none_is_refused(refusal):
    for junk in (b"", b"junk", b"\x80\x02}", b"\x80\x02X\xff\xff\xff\x7fabc."):
        assert "refused" in refusal(container(junk)) or "damaged" in refusal(container(junk))


# ------------------------------------------------------------------ sizes


def spoiled(good_content, **weights):
    """Return the bytes of a checkpoint that has `weights` (from `tensor`) for its first weights."""
    names = list(good_content["model_state_dict"])
    named = dict(zip(names, weights.values(), strict=False))
    plain = {key: value for key, value in good_content.items() if key != "model_state_dict"}
    return container(dumps(plain | {"model_state_dict": named}), {"0": ZEROS})


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (tensor("0", (TERA,), (0,), stored=1), "claims more bytes than it has"),
        (tensor("0", (TERA, 4), (0, 0), stored=1), "claims more bytes than it has"),
        (tensor("0", (TERA,), (1,), stored=1), "refused"),
        (tensor("0", (TERA,), (1,), stored=TERA), "refused"),
        (tensor("0", (1,), (1,), stored=1, offset=10**9), "refused"),
        (tensor("0", (1,), (1,), stored=1, offset=-4), "refused"),
        (tensor("0", (-5,), (1,), stored=1), "refused"),
        (tensor("0", (1,), (1,), stored=-1), "refused"),
        (tensor("9", (1,), (1,), stored=1), "refused"),  # no such entry
        (tensor("0", (1,), (1,), stored=1), "the weights do not fit the model's configuration"),
    ],
)
def test_a_weight_with_wrong_sizes_is_refused(refusal, good_content, weight, expected):
    assert expected in refusal(spoiled(good_content, first=weight))


def doubled(kind, times=60):
    """Return a value that holds the one before it twice, and so on: 2 ** 60 values when written out."""
    value = kind(["x"])
    for _ in range(times):
        value = kind([value, value])
    return value


def test_a_value_that_is_endless_when_written_out_is_refused_shortly(refusal, good_content):
    """Before anything prints, compares or hashes it: that would take days, or all memory."""
    itself = []
    itself.append(itself)
    expected = "refused: its values hold one another so often that they have no end"
    for value in (doubled(list), doubled(tuple), itself):
        for key in ("config", "classes", "format", "format_version", "metadata", "unknown"):
            assert refusal(good_content | {key: value}) == expected


def test_a_key_that_is_endless_to_hash_is_refused(refusal):
    key = pickle.EMPTY_TUPLE + pickle.BINPUT + b"\0"
    for number in range(60):
        key += pickle.BINGET + bytes([number]) + pickle.TUPLE2 + pickle.BINPUT + bytes([number + 1])
    pickled = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + key + pickle.NONE + pickle.SETITEM + pickle.STOP
    assert "so often that they have no end" in refusal(container(pickled))


def test_many_values_and_shared_ones_are_fine(good_content, tmp_path):
    shared = (0.9, 0.999)
    content = good_content | {"metadata": {"many": list(range(50_000)), "shared": [shared] * 50_000}}
    torch.save(content, tmp_path / "large.pt")
    assert len(load_checkpoint(tmp_path / "large.pt").metadata["shared"]) == 50_000


@pytest.mark.parametrize(
    "instructions", [b"u.", b"}K\x01s.", b"K\x01a.", b"(a.", b"h\x05.", b"q\0.", b"\x86."]
)
def test_instructions_without_their_values_are_damage(refusal, instructions):
    assert "damaged: not a pickle" in refusal(container(b"\x80\x02" + instructions))


def test_no_memory_is_taken_on_the_files_word(good_content, tmp_path):
    huge = {
        "embedding_dim": 4096,
        "conv_filters": [8192] * 32,
        "kernel_size": 63,
        "lstm_units": 8192,
        "attention_units": 8192,
        "dense_units": [8192] * 32,
    }
    files = {
        "config.pt": good_content | {"config": {"model": huge}},
        "many_layers.pt": good_content | {"config": {"model": {"conv_filters": [1] * 10**5}}},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "expanded.pt").write_bytes(spoiled(good_content, first=tensor("0", (TERA,), (0,), stored=1)))
    storage = Call(Global("torch", "FloatStorage"), 2**31)
    (tmp_path / "storage.pt").write_bytes(container(dumps({"format": storage})))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from models.checkpoint import load_checkpoint\n"
        "from utils.errors import CheckpointError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        load_checkpoint(Path(path))\n"
        "    except CheckpointError:\n"
        "        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "        print(Path(path).name, (after - before) // 1024)\n"
    )
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    grown_mb = {name: int(size) for name, size in map(str.split, done.stdout.splitlines())}
    assert sorted(grown_mb) == names, "each is refused"
    assert max(grown_mb.values()) < 200
