"""Checkpoint files as an attacker would write them: zip containers and pickles put together by hand."""

import io
import pickle
import struct
import zipfile


class Global:
    """Pickles as the bare name of a function or class."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickles as a call of `function` (a Global or a Call) with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Storage:
    """Pickles as a reference to the bytes of entry `key`, said to hold `count` numbers."""

    def __init__(self, key, count, kind="FloatStorage"):
        self.key, self.count, self.kind = key, count, kind


def tensor(key, shape, strides, *, stored, kind="FloatStorage", offset=0):
    """Return what pickles as a tensor whose storage is said to hold `stored` numbers."""
    hooks = Call(Global("collections", "OrderedDict"))
    function = Global("torch._utils", "_rebuild_tensor_v2")
    return Call(function, Storage(key, stored, kind), offset, tuple(shape), tuple(strides), False, hooks)


def dumps(value):
    """Return the pickle (protocol 2) of builtins and of the classes above; nothing is looked up or called."""
    return b"\x80\x02" + _opcodes(value) + b"."


def container(pickled, storages=(), *, compression=zipfile.ZIP_STORED, name="archive/data.pkl"):
    """Return the bytes of a file in the layout of `torch.save`; `storages` are (key, bytes) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
        for key, content in dict(storages).items():
            archive.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()


def _opcodes(value):
    if isinstance(value, Global):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return _opcodes(value.function) + _opcodes(tuple(value.arguments)) + pickle.REDUCE
    if isinstance(value, Storage):
        reference = ("storage", Global("torch", value.kind), value.key, "cpu", value.count)
        return _opcodes(reference) + pickle.BINPERSID
    if isinstance(value, dict):
        items = b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items())
        return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(_opcodes, value)) + pickle.TUPLE
    if isinstance(value, list):
        return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_opcodes, value)) + pickle.APPENDS
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.LONG1 + bytes([9]) + value.to_bytes(9, "little", signed=True)
    if isinstance(value, float):
        return pickle.BINFLOAT + struct.pack(">d", value)
    if isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded
    if value is None:
        return pickle.NONE
    raise TypeError(f"cannot pickle {type(value)} by hand")
