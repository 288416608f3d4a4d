"""The interactive prompt: a name in, a class, bars and the attention over the characters out.

Colours appear on a terminal only, and never when NO_COLOR is set and not empty (https://no-color.org).
"""

import codecs
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import numpy as np

BAR_WIDTH = 30
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = ".:-=+*#@"
_CLASS_COLOURS = ("32", "31", "35", "33", "36", "34")  # green for the harmless one, then red, magenta, …
_HEAT_COLOURS = (0, 0, 52, 88, 124, 160, 196)  # 256-colour backgrounds, dark to bright red

WELCOME = """\
Type a domain name, a URL or a defanged name (hxxps://evil[.]example).
Several names may stand on one line. Up and down recall earlier lines. Leave with Ctrl-D or Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the prompt shows for one name."""

    normalized: str | None
    label: str | None
    probabilities: dict[str, float] | None
    attention: np.ndarray | None  # (len(normalized),), sums to 1
    error: str | None


class Style:
    """How things look on this output: colours or not, Unicode or not."""

    def __init__(self, output: TextIO) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self.colours = output.isatty() and not os.environ.get("NO_COLOR") and not dumb
        self.encoding = output.encoding or "ascii"
        self.unicode = codecs.lookup(self.encoding).name == "utf-8"

    def paint(self, text: str, code: str) -> str:
        """Wrap `text` in an ANSI colour where colours are on."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours else text

    def showable(self, text: str) -> str:
        """Write what the output's encoding lacks as escapes: \\u0444 for a Cyrillic letter, say."""
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def bar(self, fraction: float) -> str:
        """Draw a horizontal bar of BAR_WIDTH cells."""
        filled = round(fraction * BAR_WIDTH)
        full, empty = ("█", "░") if self.unicode else ("#", ".")
        return full * filled + empty * (BAR_WIDTH - filled)

    def heights(self, weights: np.ndarray) -> str:
        """Draw one character a weight, the higher the larger."""
        blocks = _BLOCKS if self.unicode else _ASCII_BLOCKS
        scaled = weights / max(float(weights.max()), 1e-9) * (len(blocks) - 1)
        return "".join(blocks[round(float(w))] for w in scaled)

    def heat(self, text: str, weights: np.ndarray) -> str:
        """Colour the background of each character by its weight."""
        top = max(float(weights.max()), 1e-9)
        levels = [_HEAT_COLOURS[round(float(w) / top * (len(_HEAT_COLOURS) - 1))] for w in weights]
        return "".join(
            self.paint(c, f"1;97;48;5;{level}") if level else c for c, level in zip(text, levels, strict=True)
        )


def render(answer: Answer, style: Style) -> str:
    """Return the lines that show an answer."""
    if answer.error is not None:
        return f"  {style.paint('no answer', '33')}: {answer.error}"
    colours = dict(zip(answer.probabilities, _CLASS_COLOURS, strict=False))
    label = style.paint(answer.label, f"1;{colours.get(answer.label, '0')}")
    lines = [f"  {answer.normalized}  is  {label}  ({answer.probabilities[answer.label]:.1%})"]
    width = max(map(len, [*answer.probabilities, "attention"]))
    for name, p in answer.probabilities.items():
        bar = style.paint(style.bar(p), colours.get(name, "0"))
        lines.append(f"    {name:<{width}}  {bar}  {p:6.1%}")
    if answer.attention is not None:
        lines.append(f"    {'attention':<{width}}  {style.heat(answer.normalized, answer.attention)}")
        lines.append(f"    {'':<{width}}  {style.heights(answer.attention)}")
    return "\n".join(lines)


def run_prompt(answer: Callable[[str], Answer], output: TextIO) -> None:
    """Ask for names until the input ends (Ctrl-D); Ctrl-C raises KeyboardInterrupt as ever.

    Parameters
    ----------
    answer
        One raw name → what to show.
    output
        Where answers are written. Names in it are normalised, so no terminal escape can pass.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() line editing and history
    style = Style(output)
    output.write(WELCOME + "\n")
    while True:
        output.flush()
        try:
            line = input("\ndomain> ")
        except EOFError:
            output.write("\n")
            return
        except UnicodeDecodeError as error:
            nothing = Answer(None, None, None, None, f"the line is not in the terminal's {error.encoding}")
            output.write(style.showable(render(nothing, style)) + "\n")
            continue
        for text in line.split():
            output.write(style.showable(render(answer(text), style)) + "\n")
