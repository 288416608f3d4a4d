"""What a prediction job answered: rows, errors by reason, counts by class and by decision."""

from collections import Counter
from collections.abc import Mapping, Sequence

from utils.prediction import Prediction


class PredictionSummary:
    """Counts of the rows that were written.

    Attributes
    ----------
    rows
        All of them.
    labels, decisions, reasons
        How many have which class, which decision, and which reason for an error.
    listed
        How many a list decided.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.listed = 0
        self.labels: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> "PredictionSummary":
        """Return the summary of some rows."""
        summary = cls()
        summary.rows = len(predictions)
        summary.listed = sum(p.decided_by not in (None, "model") for p in predictions)
        summary.labels.update(p.label for p in predictions if p.label is not None)
        summary.decisions.update(p.decision for p in predictions if p.decision is not None)
        summary.reasons.update(p.reason for p in predictions if p.error is not None)
        return summary

    def with_rows(self, predictions: Sequence[Prediction]) -> "PredictionSummary":
        """Return a summary of these rows and further ones."""
        return self.plus(PredictionSummary.of(predictions))

    def plus(self, other: "PredictionSummary") -> "PredictionSummary":
        """Return a summary of the rows of both."""
        summary = PredictionSummary()
        summary.rows = self.rows + other.rows
        summary.listed = self.listed + other.listed
        for name in ("labels", "decisions", "reasons"):
            getattr(summary, name).update(getattr(self, name))
            getattr(summary, name).update(getattr(other, name))
        return summary

    @property
    def lacks_names(self) -> bool:
        """Tell whether there are rows and no domain name in them, though some could be read."""
        return 0 < self.rows == self.reasons.total() != self.reasons["malformed"]

    def lines(self, elapsed_s: float, new_rows: int, column_hint: str | None = None) -> list[str]:
        """Return the summary for people.

        Parameters
        ----------
        elapsed_s
            How long this job took.
        new_rows
            How many rows it has written itself.
        column_hint
            What --column may have to be, in words, for an input that lacks names.
        """
        if not self.rows:
            return ["0 rows: the input held none"]
        errors = self.reasons.total()
        lines = [f"{rows_in_words(self.rows)}, {errors:,} without an answer{_in_brackets(self.reasons)}"]
        if self.lacks_names:
            hint = "no row is a domain name; --column says which column or key of a row holds it"
            lines.append(f"{hint}: {column_hint}" if column_hint else hint)
        if self.labels:
            lines.append(f"classes: {_counts(self.labels)}")
        if self.decisions:
            by_list = f" ({self.listed:,} by a list)" if self.listed else ""
            lines.append(f"decisions: {_counts(self.decisions)}{by_list}")
        lines.append(f"{new_rows / max(elapsed_s, 1e-9):,.0f} rows/s, {elapsed_s:,.1f} s")
        return lines

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON can hold them."""
        return {
            "rows": self.rows,
            "listed": self.listed,
            "labels": dict(self.labels),
            "decisions": dict(self.decisions),
            "reasons": dict(self.reasons),
        }

    @classmethod
    def from_dict(cls, counts: Mapping[str, object]) -> "PredictionSummary":
        """Return the summary that `to_dict` was asked for."""
        summary = cls()
        summary.rows, summary.listed = counts["rows"], counts["listed"]
        for name in ("labels", "decisions", "reasons"):
            getattr(summary, name).update(counts[name])
        return summary


def rows_in_words(count: int) -> str:
    """Return "1 row" or "2,000 rows"."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common())


def _in_brackets(counter: Counter[str]) -> str:
    return f" ({_counts(counter)})" if counter else ""
