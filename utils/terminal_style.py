"""How text looks on an output: colours or not, Unicode or not, drawings or words only.

Colours appear on a terminal only, and never where NO_COLOR is set and not empty (https://no-color.org) or
TERM is "dumb". No meaning hangs on them. A dumb terminal gets no drawings either: a screen reader would spell
them out.
"""

import codecs
import os
from collections.abc import Sequence
from typing import TextIO

BAR_WIDTH = 30
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = ".:-=+*#@"


class Style:
    """The look of one output.

    Attributes
    ----------
    colours, unicode, drawings
        What it takes.
    """

    def __init__(self, output: TextIO) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self.colours = output.isatty() and not os.environ.get("NO_COLOR") and not dumb
        self.drawings = not dumb
        self.encoding = output.encoding or "ascii"
        self.unicode = codecs.lookup(self.encoding).name == "utf-8"

    def paint(self, text: str, code: str) -> str:
        """Wrap `text` in an ANSI colour where colours are on."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and text else text

    def showable(self, text: str) -> str:
        """Write what the output's encoding lacks as escapes: \\u0444 for a Cyrillic letter, say."""
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def bar(self, fraction: float) -> str:
        """Draw a horizontal bar of BAR_WIDTH cells."""
        filled = round(fraction * BAR_WIDTH)
        full, empty = ("█", "░") if self.unicode else ("#", ".")
        return full * filled + empty * (BAR_WIDTH - filled)

    def heights(self, weights: Sequence[float]) -> str:
        """Draw one character a weight, the higher the larger."""
        blocks = _BLOCKS if self.unicode else _ASCII_BLOCKS
        top = max(max(weights, default=0.0), 1e-9)
        return "".join(blocks[round(weight / top * (len(blocks) - 1))] for weight in weights)
