"""Valid files, and seeded damage to their bytes: for tests/test_fuzz.py and benchmarks/fuzz.py."""

import io
import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.toy_domains import toy_domains

PROJECT = Path(__file__).parent.parent
FORMATS = ("json", "jsonl", "csv", "text")

_ANYWHERE = [b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc2\x9b", b"\x1b[31m", b"\r", b"\r\n", b"\n\n"]
_ANYWHERE += [b"\xef\xbb\xbf", b"\x0c", b"\t", "ü\u202e\u2028\u3002".encode(), b"9" * 30, b"a" * 5000]
_JSON = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"01",
    b"1.",
    b"7" * 5000,
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud83d",
]
_JSON += [b"\\ude00", b"\\x", b"null", b"true", b"[", b"]", b"{", b"}", b",", b":", b"//", b"[[", b"]]", b" "]
_JSON += [b'"domain_name":"other.com",', b'"domain":5,', b'{"domain_name":["a.com"]},', b'"b.com",', b"3,"]
_JSON += [b"18446744073709551616,", b'" 18446744073709551616 ",', b'"\\u0064omain_name":1,', b'"source":0,']
_CSV = [b'"', b'""', b",", b";", b"|", b"=1+1", b"@a.com", b'"\n', b"domain", b"\n,\n", b'a"b', b'"a"b']
_TEXT = [
    b" ",
    b".",
    b"..",
    b"http://",
    b"hxxp://a[.]b",
    b"@",
    b"xn--",
    b"*.",
    b"#",
    b"192.0.2.1",
    b"%2e",
    b"-",
]
_YAML = [
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/object:os.x ",
    b"!!binary ",
    b"? ",
    b"|\n",
    b">\n",
]
_YAML += [
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b'"',
    b"#",
    b"%YAML 9.9\n",
    b"---\n",
    b"...\n",
    b"~",
    b"1e-3",
    b".nan",
]
_YAML += [b"0x10", b"1_000", b"12:30", b"yes", b"2024-01-01", b"\t", b"  ", b'"\\e[31m"', b"-1", b"0", b"1.5"]
TOKENS = {
    "json": _ANYWHERE + _JSON,
    "jsonl": _ANYWHERE + _JSON,
    "csv": _ANYWHERE + _CSV,
    "text": _ANYWHERE + _TEXT,
    "yaml": _ANYWHERE + _YAML,
    "checkpoint": [
        *_ANYWHERE,
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x80\x02",
        b"cos\nsystem\n",
        b"R",
        b".",
        b"\x7f" * 8,
    ],
}


def valid_files(kind: str) -> list[bytes]:
    """Return some small valid files of a kind: one of `FORMATS`, "yaml" or "checkpoint"."""
    names = [*toy_domains(7)[0], "bücher.de", "no-dot", "192.0.2.1", "https://user@example.com:8080/path?q"]
    records = [
        {
            "domain_name": name,
            "source": "made up",
            "sourced_on": {"$date": "2024-02-29T00:00:00Z"},
            "n": [i, {}],
        }
        for i, name in enumerate(names)
    ]
    match kind:
        case "json":
            lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
            texts = [f"[{lines}]\n", json.dumps(records, indent=2), json.dumps(records), json.dumps(names)]
            texts.append(json.dumps(records[0], indent=1))
        case "jsonl":
            texts = ["".join(json.dumps(record) + "\n" for record in records)]
            texts.append("\r\n".join(json.dumps(name, ensure_ascii=False) for name in names))
        case "csv":
            rows = "".join(f'{i},"{name}",made up\n' for i, name in enumerate(names))
            texts = [f"id,domain,source\n{rows}", f"id;domain;source\r\n{rows}".replace(",", ";")]
            texts.append("domain\n" + "\n".join(names))
        case "text":
            texts = ["\n".join(names) + "\n", "\r\n".join(names)]
        case "yaml":
            text = (PROJECT / "config_test.yaml").read_text(encoding="utf-8")
            texts = [text, yaml.safe_dump(yaml.safe_load(text), default_flow_style=None)]
        case "checkpoint":
            return [(PROJECT / "tests" / "data" / "checkpoints" / "version-1.pt").read_bytes()]
        case _:
            raise ValueError(f"no files of the kind {kind!r}")
    return [text.encode() for text in texts]


def mutate(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    """Return `data` after one to five damages, most often few."""
    for _ in range(1 + min(int(draw.expovariate(1.0)), 4)):
        data = draw.choice(_DAMAGES)(data, draw, tokens)
    return data


def reseal(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    """Damage one entry of a checkpoint and write the container anew, so that all checksums are right."""
    entries = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            entries[name] = archive.read(name)
    pickled = next(name for name in entries if name.endswith("data.pkl"))
    damaged = pickled if draw.random() < 0.8 else draw.choice(list(entries))
    entries[damaged] = mutate(entries[damaged], draw, tokens)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _flip_bit(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


def _delete(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _range(data, draw)
    return data[:start] + data[end:]


def _cut_short(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _repeat(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _range(data, draw)
    return data[:end] + data[start:]


def _move(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    start, end = _range(data, draw)
    rest = data[:start] + data[end:]
    place = draw.randrange(len(rest) + 1)
    return rest[:place] + data[start:end] + rest[place:]


def _insert(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    place = draw.randrange(len(data) + 1)
    return data[:place] + draw.choice(tokens) + data[place:]


def _overwrite(data: bytes, draw: random.Random, tokens: Sequence[bytes]) -> bytes:
    place, token = draw.randrange(len(data) + 1), draw.choice(tokens)
    return data[:place] + token + data[place + len(token) :]


def _repeat_line(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    line = draw.choice(lines)
    lines.insert(draw.randrange(len(lines) + 1), line)
    return b"".join(lines)


def _delete_line(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    del lines[draw.randrange(len(lines))]
    return b"".join(lines)


def _random_bytes(data: bytes, draw: random.Random, _: Sequence[bytes]) -> bytes:
    place = draw.randrange(len(data) + 1)
    return data[:place] + draw.randbytes(draw.randrange(1, 9)) + data[place:]


def _range(data: bytes, draw: random.Random) -> tuple[int, int]:
    """Return a piece of up to 64 bytes, now and then of any length."""
    start = draw.randrange(len(data) + 1)
    longest = len(data) if draw.random() < 0.1 else 64
    return start, min(len(data), start + draw.randrange(longest + 1))


_DAMAGES = (
    _flip_bit, _delete, _cut_short, _repeat, _move, _insert, _insert, _insert, _overwrite, _overwrite,
    _repeat_line, _delete_line, _random_bytes,
)  # fmt: skip
