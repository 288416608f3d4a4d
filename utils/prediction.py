"""One row of prediction output: what every output format and the prompt show."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec


class PredictionExplanation(msgspec.Struct):
    """Why a name got its answer; see `models.explanation` and `data.name_facts`.

    Attributes
    ----------
    spans
        Parts of the name that moved the score, each with `start`, `end`, `text`, `weight`, `score_without`.
    attention
        A weight for each character of the normalised name: where the network looked, not why it answered so.
    facts
        What can be checked without the model.
    """

    spans: list
    attention: list[float]
    facts: object


class Probabilities(msgspec.Struct, gc=False):
    """Class → probability: a mapping, made in a tenth of the time of a dict; see `probability_maker`."""

    def keys(self) -> tuple[str, ...]:
        return self.__struct_encode_fields__

    def values(self) -> tuple[float, ...]:
        return msgspec.structs.astuple(self)

    def items(self) -> Iterable[tuple[str, float]]:
        return zip(self.keys(), self.values(), strict=True)

    def __getitem__(self, name: str) -> float:
        return dict(self.items())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


def probability_maker(classes: Sequence[str]) -> Callable[..., Mapping[str, float]]:
    """Return what makes a mapping, class → probability, of one number a class."""
    if any(character in name for name in classes for character in '"\\'):  # no name of a field of msgspec's
        return lambda *row: dict(zip(classes, row, strict=True))
    fields = [(f"p{number}", float) for number in range(len(classes))]
    names = {f"p{number}": name for number, name in enumerate(classes)}
    return msgspec.defstruct("ClassProbabilities", fields, bases=(Probabilities,), rename=names, gc=False)


class Prediction(msgspec.Struct, gc=False):
    """The answer to one input row; the fields between `domain` and `error` are null where `error` is not.

    Attributes
    ----------
    domain
        The name as given.
    normalized
        The name that the model saw.
    label, probability
        The most probable class, and how probable it is.
    probabilities
        Class → probability, under the class shares that the user assumes.
    decision
        "allow", "review" or "block"; null where the checkpoint has no threshold to decide by.
    score
        1 − P(benign) under the checkpoint's own class shares: what thresholds refer to.
    threshold
        The score to block from; null where the checkpoint has none.
    decided_by
        "model", or "FILE:LINE" of the list that decided.
    error
        Why the row holds no domain name: a reason, a colon, a sentence.
    fields
        The input record as it was, where that is asked for; else the key is left out.
    reasons
        Short sentences for people, where explanations are asked for and there is no error; else left out.
    explanation
        The same for programs.
    """

    domain: object
    normalized: str | None
    label: str | None
    probability: float | None
    probabilities: Mapping[str, float] | None
    decision: str | None
    score: float | None
    threshold: float | None
    decided_by: str | None
    error: str | None
    fields: object = msgspec.UNSET
    reasons: list[str] | msgspec.UnsetType = msgspec.UNSET
    explanation: PredictionExplanation | msgspec.UnsetType = msgspec.UNSET

    @property
    def reason(self) -> str | None:
        """Return the key of the error, one of `data.rejection.REASONS` or "missing_name" or "malformed"."""
        return None if self.error is None else self.error.partition(":")[0]


def refused(domain: object, error: str, fields: object = msgspec.UNSET) -> Prediction:
    """Return the answer to a row that holds no domain name."""
    return Prediction(domain, None, None, None, None, None, None, None, None, error, fields)
