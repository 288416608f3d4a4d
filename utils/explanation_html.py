"""Explained predictions as one HTML page: no script, nothing loaded, light and dark, safe to open and send.

Names come from hostile hands: every text is escaped, and a policy in the page forbids all but its style.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from utils.errors import ConfigError, UserError
from utils.files import write_text
from utils.prediction import Prediction
from utils.prediction_summary import rows_in_words
from utils.terminal_text import printable_line

MAX_ROWS = 2_000  # a page of 3 MB, which every browser scrolls well
_LEVELS = 4  # shades of a direction
_FULL_SHADE = 4.0  # log-odds from which on a part has the strongest shade
_SHOWN_CHARACTERS = 300  # of an input as given, and of an error

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --soft: #57606a; --line: #d0d7de;
  --m: 207, 34, 46; --b: 9, 105, 218; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --soft: #9198a1;
  --line: #30363d; --m: 248, 81, 73; --b: 56, 139, 253; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem; }
h1 { font-size: 1.3rem; } p, ul { max-width: 60rem; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0; }
td { border-top: 1px solid var(--line); }
td.number { font-variant-numeric: tabular-nums; }
code { font: 14px/1.7 ui-monospace, monospace; overflow-wrap: anywhere; }
mark { color: inherit; background: none; padding: 2px 0; border-radius: 2px; }
mark.m { border-bottom: 3px solid rgb(var(--m)); } mark.b { border-bottom: 3px dotted rgb(var(--b)); }
.m1 { background: rgba(var(--m), .10); } .m2 { background: rgba(var(--m), .20); }
.m3 { background: rgba(var(--m), .32); } .m4 { background: rgba(var(--m), .45); }
.b1 { background: rgba(var(--b), .10); } .b2 { background: rgba(var(--b), .20); }
.b3 { background: rgba(var(--b), .32); } .b4 { background: rgba(var(--b), .45); }
.block { font-weight: bold; } td ul { margin: 0; padding-left: 1.1rem; }
"""


class ExplanationPage:
    """Collects predictions and writes the page when all are there.

    Parameters
    ----------
    path
        The file.
    others
        Files of the same job, which the page must not replace.

    Raises
    ------
    ConfigError
        `path` is one of the others.
    UserError
        Its folder does not exist, or it is a folder itself.
    """

    def __init__(self, path: Path, others: Iterable[Path | None]) -> None:
        if any(other is not None and path.absolute() == other.absolute() for other in others):
            raise ConfigError(f"--explain-html {path} is the input or the output")
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "no such folder"
            raise UserError(f"{path}: cannot be written: {what}")
        self.path = path
        self.rows = 0
        self._html: list[str] = []

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Add rows; beyond `MAX_ROWS` they are counted only."""
        free = max(MAX_ROWS - self.rows, 0)
        self._html += map(_row, predictions[:free])
        self.rows += len(predictions)

    def write(self, rule: str) -> str:
        """Write the page, and return a line that says so.

        Parameters
        ----------
        rule
            How scores become decisions, in words.
        """
        shown = len(self._html)
        write_text(self.path, _page(self._html, self.rows, rule))
        left_out = f", the first {shown:,} of {self.rows:,}" if shown < self.rows else ""
        return f"{self.path}: {rows_in_words(shown)} explained{left_out}"


def _page(rows: Sequence[str], total: int, rule: str) -> str:
    limit = f" The first {len(rows):,} of them are shown." if len(rows) < total else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Domain names, explained</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Domain names, explained</h1>
<p>{total:,} rows.{limit} <span class="soft">{escape(printable_line(rule))}.</span></p>
<p>The score is 1 − P(benign). <mark class="m m3">Solid underline</mark>: hiding the part lowers the score,
so it speaks for malicious. <mark class="b b3">Dotted underline</mark>: hiding it raises the score, so it
speaks for benign. The stronger the shade, the further. Point at a part to see the score without it. Facts
about a name moved no score.</p>
<table>
<thead><tr><th>decision</th><th>score</th><th>class</th><th>name</th><th>reasons</th></tr></thead>
<tbody>
{"".join(rows)}</tbody>
</table>
</body>
</html>
"""


def _row(p: Prediction) -> str:
    if p.error is not None:
        given = f"<code><bdi>{escape(_short(str(p.domain)))}</bdi></code>"
        error = escape(_short(p.error))
        return f"<tr><td>error</td><td></td><td></td><td>{given}</td><td>{error}</td></tr>\n"
    decision = p.decision or "-"
    if p.decided_by not in (None, "model"):
        decision += f" [{_short(p.decided_by)}]"
    reasons = "".join(f"<li><bdi>{escape(printable_line(reason))}</bdi></li>" for reason in p.reasons or ())
    return (
        f'<tr><td class="{escape(p.decision or "")}">{escape(decision)}</td>'
        f'<td class="number">{p.score:.4f}</td><td>{escape(p.label)} {p.probability:.1%}</td>'
        f"<td><code>{_marked(p)}</code></td><td><ul>{reasons}</ul></td></tr>\n"
    )


def _marked(p: Prediction) -> str:
    """Return the name with its spans marked; what a mark means stands in its tooltip, too."""
    name, parts, place = p.normalized, [], 0
    for span in p.explanation.spans if p.explanation else ():
        kind, word = ("m", "malicious") if span.weight > 0 else ("b", "benign")
        level = min(int(abs(span.weight) / _FULL_SHADE * _LEVELS) + 1, _LEVELS)
        title = f"towards {word}: without it the score is {span.score_without:.4f}"
        parts.append(escape(name[place : span.start]))
        parts.append(f'<mark class="{kind} {kind}{level}" title="{title}">{escape(span.text)}</mark>')
        place = span.end
    return "".join([*parts, escape(name[place:])])


def _short(text: str) -> str:
    """Return a text of any length and kind as one that a page can hold."""
    return printable_line(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
