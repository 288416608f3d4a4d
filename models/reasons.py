"""Predictions with reasons: what moved the score, where the network looked, and facts about the name.

Part of the wiring: it joins `models.explanation`, which asks the model, and `data.name_facts`, which does
not.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.name_facts import name_facts
from models.explanation import explain
from utils.prediction import Prediction, PredictionExplanation

if TYPE_CHECKING:
    from models.base_classifier import BaseClassifier

MAX_SPAN_REASONS = 3  # sentences on parts of the name; the spans themselves are all there
_ATTENTION_DECIMALS = 4


def add_reasons(classifier: "BaseClassifier", predictions: Sequence[Prediction]) -> None:
    """Set `reasons` and `explanation` of the predictions that hold an answer; a name is explained once."""
    names = list(dict.fromkeys(p.normalized for p in predictions if p.error is None))
    reasons, explanations = {}, {}
    for name, explained in zip(names, explain(classifier, names), strict=True):
        facts = name_facts(name)
        attention = [round(weight, _ATTENTION_DECIMALS) for weight in classifier.attention(name).tolist()]
        reasons[name] = explained.sentences()[:MAX_SPAN_REASONS] + facts.sentences()
        explanations[name] = PredictionExplanation(explained.spans, attention, facts)
    for prediction in predictions:
        if prediction.error is None:
            prediction.reasons = reasons[prediction.normalized]
            prediction.explanation = explanations[prediction.normalized]
