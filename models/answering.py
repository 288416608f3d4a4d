"""Records to predictions: the one path for files, pipes and the prompt.

answerer = Answerer(classifier, rule)
answerer.answer(records)             # one prediction a record, in order
answerer.answer_text("example.com")
"""

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from data.domain_name import Rejected, normalize_domain
from data.record import Record
from models.reasons import add_reasons
from utils.decision import DecisionRule
from utils.detection import malicious_scores
from utils.prediction import Prediction, probability_maker, refused

if TYPE_CHECKING:
    from data.name_lists import NameLists
    from models.classifier import DomainClassifier

DECIMALS = 6  # of the numbers that are shown


class Answerer:
    """Normalises, classifies and decides.

    Parameters
    ----------
    classifier
        What gives the probabilities; its prior is the user's.
    rule
        Which scores block.
    lists
        Names for which a list decides; None without lists.
    explain
        Whether predictions get reasons, at the cost of some 50 further forward passes a name.
    """

    def __init__(
        self,
        classifier: "DomainClassifier",
        rule: DecisionRule,
        lists: "NameLists | None" = None,
        explain: bool = False,
    ) -> None:
        self.classifier = classifier
        self.rule = rule
        self.lists = lists
        self.explain = explain
        self._probabilities = probability_maker(classifier.classes)
        self._benign = classifier.classes.index(classifier.signature.benign_class)

    def answer_text(self, text: str) -> Prediction:
        """Answer one name as somebody typed it."""
        return self.answer([Record(text, None, None, None, "")])[0]

    def answer(self, records: Sequence[Record]) -> list[Prediction]:
        """Return one prediction a record, in order: a row that holds no name gets its reason.

        A name that stands in several records is classified once: logs repeat their names.
        """
        names = [
            normalize_domain(record.domain) if record.error is None else _unreadable(record)
            for record in records
        ]
        named = [row for row, name in enumerate(names) if type(name) is str]
        valid = names if len(named) == len(names) else [names[row] for row in named]
        given = records if valid is names else [records[row] for row in named]
        answers = self._answers(given, valid)
        if self.explain:
            add_reasons(self.classifier, answers)
        if valid is names:
            return answers
        rest = iter(answers)
        return [
            next(rest) if type(name) is str else refused(record.domain, str(name), record.fields)
            for record, name in zip(records, names, strict=True)
        ]

    def _answers(self, records: Sequence[Record], names: list[str]) -> list[Prediction]:
        """Return the predictions for records whose normal form is `names`; built by column, for speed."""
        place = {name: row for row, name in enumerate(dict.fromkeys(names))}
        learned = self.classifier.learned_probabilities(list(place))
        shown = self.classifier.with_prior(learned)
        scores = malicious_scores(learned, self._benign)
        if len(place) < len(names):
            rows = np.fromiter(map(place.__getitem__, names), np.intp, len(names))
            shown, scores = shown[rows], scores[rows]
        best = shown.argmax(axis=1)
        probabilities = shown.astype(float).round(DECIMALS)
        classes = self.classifier.classes
        decisions, deciders = self._decide(names, scores)
        threshold = None if self.rule.block_at is None else round(self.rule.block_at, DECIMALS)
        return list(
            map(
                Prediction,
                [record.domain for record in records],
                names,
                map(classes.__getitem__, best.tolist()),
                probabilities[np.arange(len(names)), best].tolist(),
                map(self._probabilities, *probabilities.T.tolist()),
                decisions,
                scores.round(DECIMALS).tolist(),
                repeat(threshold),
                deciders,
                repeat(None),
                [record.fields for record in records],
            )
        )

    def _decide(self, names: list[str], scores: np.ndarray) -> tuple[list[str | None], Sequence[str]]:
        """Return the decision on each name, and who made it; a list overrules the model."""
        decisions = self.rule.decide(scores)
        deciders = ["model" if self.rule.review_at is not None else None] * len(names)
        if self.lists is not None:
            for row, name in enumerate(names):
                if (entry := self.lists.find(name)) is not None:
                    decisions[row], deciders[row] = entry
        return decisions, deciders


def _unreadable(record: Record) -> Rejected:
    """Return why a record holds nothing that could be a name, and where: there is no text to look for."""
    place = f"{record.position}: " if record.position else ""
    return Rejected("malformed" if record.malformed else "missing_name", place + record.error)
