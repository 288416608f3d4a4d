"""Predictions for many files in many processes: each answers its parts, a manifest tells when all are done.

    results/part-00000.jsonl  part-00000.done.json  part-00001.jsonl  …  manifest.json

The processes do not talk to each other. Which parts there are follows from the files, whose they are from the
number of processes, and what is done from the folder, so that a job that is started again skips it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.file_parts import FilePart, share_of
from data.fingerprint import fingerprint
from models.answering import Answerer
from models.prediction_run import PredictionJob, run_job
from utils.errors import UserError
from utils.files import write_text
from utils.prediction_summary import rows_in_words
from utils.run_folder import make_folder
from utils.versions import versions

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the input, its output, and the record that it is done."""

    number: int
    job: PredictionJob
    done: Path

    def record(self, *, look_at_input: bool) -> dict[str, object] | None:
        """Return what the part came to, or None where it is not done.

        Parameters
        ----------
        look_at_input
            Whether to read samples of the input file, to see that it is the same.

        Raises
        ------
        UserError
            It was done by another kind of job: of other input, with another model or other settings.
        """
        try:
            record = json.loads(self.done.read_text(encoding="utf-8"))
            job, input, num_bytes = record["job"], record["input"], record["bytes"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.done}: damaged ({error}); remove it to answer this part again") from None
        if job != self.job_digest() or (look_at_input and input != fingerprint(self.job.source)):
            raise UserError(
                f"{self.job.output}: is of another job (other input, model or settings); "
                "choose another --output, or remove the folder"
            )
        is_there = self.job.output.is_file() and self.job.output.stat().st_size == num_bytes
        return record if is_there else None

    def job_digest(self) -> str:
        """Return a hash of all that decides the output, but for the input's content."""
        decisive = [str(self.job.source), self.job.settings(), self.job.decisive, versions()]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def write_record(self, rows: int, errors: int) -> None:
        """Say that the output is complete."""
        record = {
            "output": self.job.output.name,
            "source": str(self.job.source),
            "span": self.job.span,
            "rows": rows,
            "without_answer": errors,
            "bytes": self.job.output.stat().st_size,
            "input": fingerprint(self.job.source),
            "job": self.job_digest(),
        }
        write_text(self.done, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def plan_parts(job: PredictionJob, folder: Path, parts: Sequence[FilePart]) -> list[Part]:
    """Return a job a part, from one that has everything but input and output."""
    return [
        Part(
            number,
            replace(
                job,
                source=part.path,
                input_format=part.format,
                span=part.span,
                output=folder / f"part-{number:05d}.{job.output_format}",
                resume=True,
            ),
            folder / f"part-{number:05d}.done.json",
        )
        for number, part in enumerate(parts)
    ]


def run_parts(
    job: PredictionJob,
    folder: Path,
    files: Sequence[FilePart],
    place: tuple[int, int],
    load_answerer: Callable[[], Answerer],
    tell: Callable[[str], None],
) -> None:
    """Answer this process's parts that are not done yet, and write the manifest where all are.

    Parameters
    ----------
    place
        The number of this process and how many there are.
    load_answerer
        Called once, and only where there is something to do.
    tell
        Called with each line for people.

    Raises
    ------
    UserError
        The folder holds another job's parts, an input cannot be read, or an output cannot be written. What is
        done stays.
    """
    make_folder(folder)
    parts = plan_parts(job, folder, files)
    mine = [parts[number] for number in share_of(files, *place)]
    left = [part for part in mine if part.record(look_at_input=True) is None]
    tell(f"{len(mine)} of {len(parts)} parts, {len(mine) - len(left)} of them done already")
    if left:
        (folder / MANIFEST).unlink(missing_ok=True)
        answerer = load_answerer()
        answerer.explain = job.explain
        for part in left:
            part.job.check()
            summary = run_job(part.job, answerer, _quiet)
            errors = summary.reasons.total()
            part.write_record(summary.rows, errors)
            tell(f"{part.job.output}: {rows_in_words(summary.rows)}, {errors:,} without an answer")
    records = [part.record(look_at_input=False) for part in parts]
    if None not in records:
        _write_manifest(folder, records)
        tell(f"all {len(parts)} parts are complete: {folder / MANIFEST}")


def _write_manifest(folder: Path, records: list[dict[str, object]]) -> None:
    """List the parts in their order; whichever process is last writes this, and two write the same."""
    manifest = {
        "complete": True,
        "rows": sum(record["rows"] for record in records),
        "without_answer": sum(record["without_answer"] for record in records),
        "parts": [{key: record[key] for key in record if key != "job"} for record in records],
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _quiet(_line: str) -> None:
    """Say nothing of a single part: thousands may follow."""
