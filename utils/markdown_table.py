"""Tables in Markdown whose cells cannot break the page."""

from collections.abc import Iterable, Sequence
from typing import Any

TEXT, FIGURE = "---", "---:"  # words start at the left, figures end at the right


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], aligned: Sequence[str] | None = None) -> str:
    """Return a Markdown table: the first column is text, the others are as in `aligned`, or else figures."""
    lines = [_line(header), _line([TEXT, *(aligned or [FIGURE] * (len(header) - 1))])]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[Any]) -> str:
    """Return one table row; a bar, an angle bracket or a line break in a cell would break the page."""
    plain = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
    safe = (" ".join(cell.replace("|", "\\|").replace("<", "&lt;").split()) for cell in plain)
    return f"| {' | '.join(safe)} |"
