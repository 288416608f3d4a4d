"""Which releases a run was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "numpy", "ijson", "msgspec", "scikit-learn", "idna", "publicsuffixlist")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of every package that results depend on; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
