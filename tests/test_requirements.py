"""Everything that is installed for this project is pinned: direct dependencies and what they need in turn."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FILES = sorted(ROOT.glob("requirements*.txt"))


def pins(path):
    """Return name → version; every line is a pin, an include or a comment."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line and not line.startswith(("-r ", "-c ")):
            name, version = re.fullmatch(
                r'([\w.-]+)==([\w.]+)(?:; python_version < "[\d.]+")?', line
            ).groups()
            found[canonicalize_name(name)] = version
    return found


DIRECT = {name: version for path in FILES for name, version in pins(path).items()}
INDIRECT = pins(ROOT / "constraints.txt")


def needed_by(name):
    """Return what an installed package needs here; nothing where it is not installed."""
    try:
        requirements = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return set()
    parsed = [Requirement(text) for text in requirements]
    return {
        canonicalize_name(one.name) for one in parsed if not one.marker or one.marker.evaluate({"extra": ""})
    }


def test_what_the_dependencies_need_is_pinned():
    todo, seen = list(DIRECT), set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += needed_by(name)
    assert len(seen) > len(DIRECT) + 20, "there is something to follow"
    # PyTorch's builds for CUDA name their own parts with exact versions.
    loose = {
        name for name in seen - DIRECT.keys() - INDIRECT.keys() if not name.startswith(("nvidia-", "cuda-"))
    }
    assert loose - {"triton"} == set()


def test_no_package_is_pinned_twice():
    assert not DIRECT.keys() & INDIRECT.keys()
    names = [name for path in FILES for name in pins(path)]
    assert len(names) == len(set(names))


def test_what_is_installed_is_what_is_pinned():
    for name, version in {**DIRECT, **INDIRECT}.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        assert installed.partition("+")[0] == version, name


def test_every_file_with_pins_takes_the_constraints():
    for path in FILES:
        assert re.search(
            r"^-[cr] (constraints|requirements)\.txt", path.read_text(encoding="utf-8"), re.MULTILINE
        )
