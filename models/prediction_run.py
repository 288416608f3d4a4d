"""One prediction job: from an input to an output, with progress, a summary, and a way to go on."""

import hashlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

from data.byte_source import STDIN
from data.data_loader import Record, read_records
from data.fingerprint import fingerprint
from data.name_hints import hint_at_keys
from data.progress_bars import ProgressBars
from models.answering import Answerer
from utils.errors import ConfigError, DataError, UserError
from utils.prediction import Prediction
from utils.prediction_summary import PredictionSummary, rows_in_words
from utils.prediction_writer import EncodedRows, PredictionWriter, make_encoder
from utils.row_batches import file_batches, live_batches
from utils.versions import versions
from utils.worker_processes import can_fork, map_in_processes

ROWS_AT_ONCE = 16_384  # enough to sort by length; a few megabytes
EXPLAINED_ROWS_AT_ONCE = 512  # each costs some 50 times as much
LIVE_ROWS_AT_ONCE = 256  # with --line-buffered: one forward pass
MAX_PROCESSES = 8  # reading and writing, which one process does, take a tenth of the work


@dataclass(frozen=True, kw_only=True)
class PredictionJob:
    """What is read and written; a stream where the input is no regular file.

    Attributes
    ----------
    source
        The input file, `STDIN` for standard input.
    input_format, column, keep_fields, all_keys
        See `read_records`.
    output
        The file, None for stdout.
    output_format
        One of `OUTPUT_FORMATS`.
    line_buffered
        Whether each row is answered as it comes, at the cost of speed.
    resume
        Whether to go on with what an interrupted job left.
    explain
        Whether each row gets reasons.
    span
        The part of the source to answer, see `read_records`; None for all of it.
    decisive
        What else decides the output, by name, as JSON can hold it: a resumed job must have the same.
    """

    source: Path
    input_format: str
    column: str | None
    keep_fields: bool
    all_keys: bool
    output: Path | None
    output_format: str
    line_buffered: bool
    resume: bool
    explain: bool = False
    span: tuple[int, int] | None = None
    decisive: Mapping[str, object]

    def check(self) -> None:
        """Raise what the user has to mend before a model is loaded."""
        if self.source != STDIN and (self.source.is_dir() or not self.source.exists()):
            raise DataError(self.source, _why_no_file(self.source))
        if self.keep_fields and self.output_format == "table":
            raise ConfigError("--keep-fields goes with JSON or CSV output: a table has no room for them")
        if self.resume and (self.output is None or not self.can_resume):
            raise ConfigError("--resume needs an --output, an --input that is a file, and no --line-buffered")
        files = [path for path in (self.source, self.output) if path is not None and path.is_file()]
        if len(files) == 2 and files[0].samefile(files[1]):
            raise ConfigError(f"--output {self.output} is the input")

    def check_start(self) -> None:
        """Raise what the first row of a file tells: no such column, no record, another format."""
        if self.source.is_file():
            with closing(self.records()) as records:
                next(records, None)

    def records(self, **others: object) -> Iterator[Record]:
        """Return the records of the input, one that cannot be read among them; `others` as `read_records`."""
        return read_records(
            self.source,
            format=self.input_format,
            column=self.column,
            keep_fields=self.keep_fields,
            all_keys=self.all_keys,
            strict=False,
            span=self.span,
            **others,
        )

    @property
    def can_resume(self) -> bool:
        """Tell whether the same rows come in the same batches again."""
        return self.source.is_file() and not self.line_buffered

    @property
    def rows_at_once(self) -> int:
        """Return how many rows a batch of a file has."""
        return EXPLAINED_ROWS_AT_ONCE if self.explain else ROWS_AT_ONCE

    def settings(self) -> list[object]:
        """Return what decides how each row is written, and which rows there are."""
        reading = [self.input_format, self.column, self.keep_fields, self.all_keys]
        writing = [self.output_format, self.explain, self.rows_at_once]
        return [*reading, *writing, *([] if self.span is None else [list(self.span)])]

    def identity(self) -> dict[str, object] | None:
        """Return what decides every byte of the output; None where the job cannot be resumed."""
        if not self.can_resume or self.output is None:
            return None
        return {
            "input": fingerprint(self.source),
            "settings": self.settings(),
            **self.decisive,
            "versions": versions(),
        }


def run_job(
    job: PredictionJob,
    answerer: Answerer,
    tell: Callable[[str], None],
    watch: Callable[[list[Prediction]], None] | None = None,
) -> PredictionSummary:
    """Answer every row of the input, and return what was answered.

    Parameters
    ----------
    tell
        Called with each line for people.
    watch
        Called with each batch once it is written.

    Raises
    ------
    UserError
        The input cannot be read, or the output cannot be written. The rows before it are kept.
    """
    encoder = make_encoder(
        job.output_format,
        answerer.classifier.classes,
        keep_fields=job.keep_fields,
        explain=job.explain,
        output=job.output,
    )
    writer = PredictionWriter(job.output, encoder, job.identity(), job.resume)
    started = time.monotonic()
    heads: list[bytes] = []
    try:
        with _progress(job) as bars, writer:
            if job.resume:
                tell(_where_it_goes_on(writer.resumed_rows))
            batches = _batches(job, bars, writer, heads.append)
            if answerer.classifier.processes > 1 and can_fork() and job.can_resume and watch is None:
                _answer_in_processes(batches, answerer, writer, job.rows_at_once)
            for batch in batches:
                predictions = answerer.answer(batch)
                writer.write(predictions)
                if watch is not None:
                    watch(predictions)
    except (UserError, KeyboardInterrupt):
        if writer.partial is not None and writer.partial.exists():
            how = "; --resume goes on with them" if job.can_resume else ""
            tell(f"the first {writer.kept_rows:,} rows are in {writer.partial}{how}")
        raise
    summary = writer.summary
    hint = hint_at_keys(heads[0], job.column) if heads and summary.lacks_names else None
    for line in summary.lines(time.monotonic() - started, summary.rows - writer.resumed_rows, hint):
        tell(line)
    return summary


def _answer_in_processes(
    batches: Iterator[list[Record]], answerer: Answerer, writer: PredictionWriter, rows_at_once: int
) -> None:
    """Answer batches side by side: this process reads and writes, copies of it do all that lies between.

    Python runs in one thread at a time, so threads would share the model's work only.
    """

    def answer(columns: tuple) -> EncodedRows:
        domains, *others = columns
        # Records by map: in a loop of Python they take seven times as long.
        records = list(map(Record, domains, repeat(None), repeat(None), repeat(None), *others))
        return writer.encode(answerer.answer(records))

    first = list(islice(batches, 1))
    # It may be the last, or tell the encoder what all later ones need (the columns of CSV).
    if first and not (writer.is_stateless and len(first[0]) == rows_at_once):
        writer.write(answerer.answer(first.pop()))
    classifier, tasks = answerer.classifier, map(_answered_columns, chain(first, batches))
    count = min(classifier.processes, MAX_PROCESSES)
    with closing(map_in_processes(answer, tasks, count, classifier.work_alone)) as results:
        for rows in results:
            writer.write_encoded(rows)


def _answered_columns(records: list[Record]) -> tuple:
    """Return what an answer depends on: columns, which are pickled in a seventh of the time."""
    return (
        [record.domain for record in records],
        [record.position if record.error is not None else "" for record in records],
        [record.error for record in records],
        [record.malformed for record in records],
        [record.fields for record in records],
    )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, which tells one checkpoint from another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(
    job: PredictionJob,
    bars: ProgressBars,
    writer: PredictionWriter,
    look_at_json: Callable[[bytes], object],
) -> Iterator[list[Record]]:
    """Yield the records that are still to be answered, in batches."""
    report = bars.reporter(0)
    consumed = 0

    def note(size: int) -> None:
        nonlocal consumed
        consumed += size
        report(consumed, writer.summary.rows)

    progress = note if job.source.is_file() else None
    records = job.records(look_at_json=look_at_json, progress=progress)
    records = islice(records, writer.resumed_rows, None)
    if job.can_resume:
        return file_batches(records, job.rows_at_once)
    return live_batches(records, LIVE_ROWS_AT_ONCE if job.line_buffered else job.rows_at_once)


def _progress(job: PredictionJob) -> ProgressBars:
    """Return the progress bar: on a terminal only, and not where results go to the terminal, too."""
    show = None if job.source.is_file() and not (job.output is None and sys.stdout.isatty()) else False
    size = job.source.stat().st_size if job.source.is_file() else 0
    size = size if job.span is None else job.span[1] - job.span[0]
    return ProgressBars([job.source.name], [size], show)


def _why_no_file(source: Path) -> str:
    """Return what is wrong with an input that is no file; several are answered into a folder."""
    if source.is_dir():
        files = shlex.quote(str(source / "*"))
        return f"is a folder: --input {files} --output FOLDER/ answers its files"
    if any(c in str(source) for c in "*?["):
        return "no such file; a pattern goes with a folder for the answers: --output FOLDER/"
    return "no such file"


def _where_it_goes_on(rows: int) -> str:
    return (
        f"goes on after {rows_in_words(rows)}" if rows else "nothing to go on with: begins at the first row"
    )
