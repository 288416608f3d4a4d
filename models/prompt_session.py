"""What stands behind the prompt: answers, decisions that can be changed, whole files."""

from collections.abc import Iterator
from pathlib import Path

from data.data_loader import read_records
from data.url_host import without_list_mark
from models.answering import Answerer
from utils.decision import choose_rule
from utils.errors import DataError
from utils.prediction import Prediction
from utils.row_batches import file_batches

ROWS_AT_ONCE = 4_096


class PromptSession:
    """Answers as `utils.prompt_commands.Session` has it.

    Parameters
    ----------
    answerer
        What answers; its rule and its `explain` change with the user's commands.
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._default_rule = answerer.rule
        self.explain = answerer.explain

    def names_in(self, line: str) -> list[str]:
        """Return what stands on a line, each as it was typed; a bullet before it is left out."""
        return without_list_mark(line).split()

    def answer(self, text: str) -> Prediction:
        """Answer one name as somebody typed it."""
        self._answerer.explain = self.explain
        return self._answerer.answer_text(text)

    def rule(self) -> str:
        """Return how scores become decisions, in words."""
        return self._answerer.rule.description

    def set_rule(self, max_fpr: float | None = None, threshold: float | None = None) -> None:
        """Decide otherwise from now on; without an argument as at the start.

        Raises
        ------
        ConfigError
            The model has no threshold for `max_fpr`.
        """
        if max_fpr is None and threshold is None:
            self._answerer.rule = self._default_rule
        else:
            thresholds = self._answerer.classifier.signature.thresholds
            self._answerer.rule = choose_rule(thresholds, max_fpr, threshold)

    def answer_file(self, path: Path) -> Iterator[list[Prediction]]:
        """Answer a file in batches, without reasons.

        Raises
        ------
        UserError
            It does not exist, or cannot be read.
        """
        if not path.is_file():
            raise DataError(path, "no such file" if not path.exists() else "is no regular file")
        self._answerer.explain = False
        for batch in file_batches(read_records(path, strict=False), ROWS_AT_ONCE):
            yield self._answerer.answer(batch)
