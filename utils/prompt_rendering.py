"""Predictions as the prompt shows them: words and numbers, so that nothing hangs on colours or drawings."""

from utils.decision import threshold_text
from utils.prediction import Prediction, PredictionExplanation
from utils.terminal_style import Style
from utils.terminal_text import printable_line

_CLASS_COLOURS = ("32", "31", "35", "33", "36", "34")  # green for the harmless one, then red, magenta, …
_DECISION_COLOURS = {"allow": "32", "review": "33", "block": "1;31"}
# 256-colour backgrounds, dark to bright: red for parts towards malicious, blue towards benign.
_RED, _BLUE = (52, 88, 124, 160), (17, 18, 19, 20)
_FULL_SHADE = 4.0  # log-odds from which on a part has the brightest background
_CHARACTERS_A_LINE = 60  # a longer name is folded, so that marks stay below what they mark


def render(prediction: Prediction, style: Style) -> str:
    """Return the lines that show an answer."""
    if prediction.error is not None:
        return f"  {style.paint('no answer', '33')}: {printable_line(prediction.error.partition(': ')[2])}"
    colours = dict(zip(prediction.probabilities, _CLASS_COLOURS, strict=False))
    label = style.paint(prediction.label, f"1;{colours.get(prediction.label, '0')}")
    lines = [f"  {prediction.normalized}  is  {label}  ({prediction.probability:.1%})"]
    width = max(map(len, [*prediction.probabilities, "attention"]))
    lines.append(f"    {'decision':<{width}}  {_decision(prediction, style)}")
    for name, p in prediction.probabilities.items():
        bar = "  " + style.paint(style.bar(p), colours.get(name, "0")) if style.drawings else ""
        lines.append(f"    {name:<{width}}  {p:6.1%}{bar}")
    if prediction.explanation:
        if style.drawings:
            lines += _parts(prediction.normalized, prediction.explanation, style, width)
        lines += [f"    - {reason}" for reason in prediction.reasons]
    return "\n".join(lines)


def _decision(p: Prediction, style: Style) -> str:
    """Return the decision and what it rests on."""
    if p.decision is None:
        return "none: this model has no threshold (:threshold chooses one)"
    decision = style.paint(p.decision, _DECISION_COLOURS[p.decision])
    if p.decided_by not in (None, "model"):
        return f"{decision}, by {printable_line(p.decided_by)}; score {p.score:.4f}"
    block = "nothing is blocked" if p.threshold is None else f"blocked from {threshold_text(p.threshold)}"
    return f"{decision}, score {p.score:.4f}; {block}"


def _parts(name: str, explanation: PredictionExplanation, style: Style, width: int) -> list[str]:
    """Return the name, below it + and - for the parts that moved the score, and the attention as heights."""
    marks, levels = [" "] * len(name), [0] * len(name)
    for span in explanation.spans:
        shades = _RED if span.weight > 0 else _BLUE
        shade = shades[min(int(abs(span.weight) / _FULL_SHADE * len(shades)), len(shades) - 1)]
        for place in range(span.start, span.end):
            marks[place], levels[place] = "+" if span.weight > 0 else "-", shade
    heights = style.heights(explanation.attention)
    lines = []
    for start in range(0, len(name), _CHARACTERS_A_LINE):
        line = slice(start, start + _CHARACTERS_A_LINE)
        lines.append(f"    {'parts':<{width}}  {_coloured(name[line], levels[line], style)}")
        lines.append(f"    {'':<{width}}  {''.join(marks[line])}".rstrip())
        lines.append(f"    {'attention':<{width}}  {heights[line]}")
    return [line for line in lines if line]


def _coloured(text: str, levels: list[int], style: Style) -> str:
    """Give each run of characters of one level its background."""
    pieces, start = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or levels[end] != levels[start]:
            code = f"1;97;48;5;{levels[start]}" if levels[start] else ""
            pieces.append(style.paint(text[start:end], code) if code else text[start:end])
            start = end
    return "".join(pieces)
