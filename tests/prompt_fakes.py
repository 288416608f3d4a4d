"""What the prompt's tests share: answers, an output, a session that answers without a model."""

import io
import re
from types import SimpleNamespace

from data.domain_name import normalize_domain
from utils.errors import ConfigError, DataError
from utils.prediction import Prediction, PredictionExplanation, refused

PROBABILITIES = {"benign": 0.1, "phishing": 0.875, "malware": 0.025}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
BLOCKED_FROM = 0.85


def prediction(name="ab.io", label="phishing", score=0.9, **changes):
    """Return an answer with the probabilities above."""
    decision = "block" if score >= BLOCKED_FROM else "allow"
    given = {"decision": decision, "threshold": BLOCKED_FROM, "decided_by": "model"} | changes
    return Prediction(
        domain=name,
        normalized=name,
        label=label,
        probability=PROBABILITIES[label],
        probabilities=PROBABILITIES,
        score=score,
        error=None,
        **given,
    )


def explained(name="ab.io", reasons=("'ab' raises the score from 0.20 to 0.90",)):
    """Return the answer with reasons: the first two characters towards malicious, the last towards benign."""
    spans = [SimpleNamespace(start=0, end=2, weight=4.2)]
    spans.append(SimpleNamespace(start=len(name) - 1, end=len(name), weight=-0.5))
    attention = [0.0, 0.1, 0.2, 0.4, 0.3] + [0.0] * (len(name) - 5)
    return prediction(name, reasons=list(reasons), explanation=PredictionExplanation(spans, attention, None))


class Output(io.StringIO):
    """A text stream with an encoding, on a terminal or not, that refuses what it cannot encode."""

    def __init__(self, encoding="utf-8", is_terminal=True):
        super().__init__()
        self._encoding, self._is_terminal = encoding, is_terminal

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._is_terminal

    def write(self, text):
        text.encode(self._encoding)
        return super().write(text)


PLAIN = {"is_terminal": False}


class FakeSession:
    """Answers every name with the probabilities above; a file has 25 names and one error."""

    def __init__(self):
        self.explain = True
        self.asked = []
        self.rules = []
        self.stop = None
        self.names_in_file = 25

    def names_in(self, line):
        return line.replace(";", " ").split()

    def answer(self, text):
        self.asked.append((text, self.explain))
        name = normalize_domain(text)
        return prediction(name, "benign") if isinstance(name, str) else refused(text, str(name))

    def rule(self):
        return "the rule"

    def set_rule(self, max_fpr=None, threshold=None):
        if max_fpr == 0.5:
            raise ConfigError("--max-fpr 0.5: the checkpoint has no threshold for this rate")
        self.rules.append((max_fpr, threshold))

    def answer_file(self, path):
        if path.name == "absent":
            raise DataError(path, "no such file")
        yield [prediction(f"n{i}.com", "phishing", score=i / 100) for i in range(self.names_in_file)]
        yield [refused("x", "single_label: it has no dot")]
        if self.stop is not None:
            raise self.stop
