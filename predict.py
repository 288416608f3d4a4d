"""Tell whether domain names are benign, phishing or malware.

python predict.py                                                    the interactive prompt
python predict.py --input domains.json --output predictions.json     a file
cut -f3 proxy.log | python predict.py > predictions.jsonl            a pipe
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.config import FORMATS
from utils.errors import EXIT_DONE, ConfigError, DataError, UserError, run_script
from utils.row_batches import file_batches, live_batches
from utils.run_folder import latest_checkpoint

if TYPE_CHECKING:  # torch takes two seconds to import: a usage error must not wait for it
    from data.data_loader import Record
    from data.preprocessor import Rejected
    from models.classifier import DomainClassifier
    from utils.prediction_writer import Prediction

SHIPPED_CHECKPOINT = Path(__file__).parent / "models" / "pretrained" / "default.pt"
RUNS = Path("runs")
ROWS_AT_ONCE = 16_384  # enough to sort by length; a few megabytes
DECIMALS = 6  # of the probabilities written


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Tell whether domain names are benign, phishing or malware. "
        "Without --input: the interactive prompt on a terminal, else names from stdin.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.",
    )
    parser.add_argument(
        "--input", metavar="FILE", help="JSON array, JSON Lines, text or CSV, also .gz; - is stdin"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=".json, .jsonl or .csv; default: JSON Lines on stdout"
    )
    parser.add_argument("--format", choices=FORMATS, default="auto", help="of the input; default: look at it")
    parser.add_argument("--column", metavar="NAME", help="the CSV column or JSON key that holds the names")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="default: the latest run, else the shipped model"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    parser.add_argument(
        "--prior",
        type=_prior,
        metavar="CLASS=SHARE,…",
        help="class shares to assume; default: those of the training data",
    )
    parser.add_argument("--batch-size", type=_positive, metavar="N", help="names in one forward pass")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    return run_script("predict.py", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Open the prompt or answer a file or a pipe."""
    try:
        if options.input is None and sys.stdin.isatty():
            if options.output or options.column or options.format != "auto":
                raise ConfigError(
                    "--output, --format and --column go with --input, or with names from a pipe"
                )
            return ask(options)
        return predict_file(options)
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has had enough: nothing more to say, not even at exit
        return EXIT_DONE


def predict_file(options: argparse.Namespace) -> int:
    """Answer every row of a file or of stdin."""
    from data.data_loader import read_records
    from utils.prediction_writer import PredictionWriter, output_format

    source = Path("-" if options.input is None else options.input)
    if str(source) != "-" and (source.is_dir() or not source.exists()):
        raise DataError(source, "is a folder" if source.exists() else "no such file")
    output_format(options.output)  # a wrong name is told before torch is loaded
    classifier = load_classifier(options)
    writer = PredictionWriter(options.output, classifier.classes)
    records = read_records(source, format=options.format, column=options.column)
    batches = file_batches if source.is_file() else live_batches
    rows = errors = 0
    try:
        with writer:
            for batch in batches(records, ROWS_AT_ONCE):
                predictions = predict_records(batch, classifier)
                writer.write(predictions)
                rows += len(predictions)
                errors += sum(prediction.error is not None for prediction in predictions)
    except (UserError, KeyboardInterrupt):
        if writer.partial is not None and writer.partial.exists():
            print(f"predict.py: the first {rows:,} rows are in {writer.partial}", file=sys.stderr)
        raise
    print(f"predict.py: {rows:,} rows, {errors:,} without an answer", file=sys.stderr)
    return EXIT_DONE


def predict_records(records: list["Record"], classifier: "DomainClassifier") -> list["Prediction"]:
    """Normalise, classify the names that are names, and put the answers back in order."""
    from data.preprocessor import Rejected, normalize_domain
    from utils.prediction_writer import Prediction

    names = [unreadable(record) or normalize_domain(record.domain) for record in records]
    probabilities = classifier.classify([name for name in names if isinstance(name, str)])
    labels = iter(probabilities.argmax(axis=1).tolist())
    rows = iter(probabilities.astype(float).round(DECIMALS).tolist())
    classes = classifier.classes
    predictions = []
    for record, name in zip(records, names, strict=True):
        if isinstance(name, Rejected):
            predictions.append(Prediction(record.domain, None, None, None, None, str(name)))
            continue
        label, row = next(labels), next(rows)
        p = dict(zip(classes, row, strict=True))
        predictions.append(Prediction(record.domain, name, classes[label], row[label], p, None))
    return predictions


def unreadable(record: "Record") -> "Rejected | None":
    """Return why a record holds nothing that could be a name, or None."""
    from data.preprocessor import Rejected

    if record.error is None:
        return None
    return Rejected("malformed" if record.malformed else "missing_name", record.error)


def ask(options: argparse.Namespace) -> int:
    """Answer at the interactive prompt."""
    from data.preprocessor import Rejected, normalize_domain
    from utils.prompt import Answer, run_prompt

    classifier = load_classifier(options)

    def answer(text: str) -> Answer:
        name = normalize_domain(text)
        if isinstance(name, Rejected):
            return Answer(None, None, None, None, str(name))
        row = classifier.classify([name])[0]
        p = dict(zip(classifier.classes, row.tolist(), strict=True))
        return Answer(name, classifier.classes[row.argmax()], p, classifier.attention(name), None)

    run_prompt(answer, sys.stdout)
    return EXIT_DONE


def load_classifier(options: argparse.Namespace) -> "DomainClassifier":
    """Find the checkpoint and the device, say which they are, and load the model."""
    path = options.checkpoint or default_checkpoint()
    from models.allocator import keep_freed_memory
    from models.classifier import DEFAULT_BATCH_SIZE, DomainClassifier
    from models.device import resolve_device

    keep_freed_memory()
    device, reason = resolve_device(options.device)
    classifier = DomainClassifier.load(path, device, options.batch_size or DEFAULT_BATCH_SIZE)
    if options.prior is not None:
        classifier.assume_prior(options.prior)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    print(f"predict.py: model {shown} on {device} ({reason})", file=sys.stderr)
    return classifier


def default_checkpoint() -> Path:
    """Return the latest run's best weights, else the shipped model."""
    path = latest_checkpoint(RUNS)
    if path is None and SHIPPED_CHECKPOINT.is_file():
        path = SHIPPED_CHECKPOINT
    if path is None:
        raise ConfigError(
            f"no model: no finished run in {RUNS}/, no models/pretrained/{SHIPPED_CHECKPOINT.name}. "
            "Train one with: python train.py --config config_test.yaml"
        )
    return path


def _prior(text: str) -> dict[str, float]:
    """Read benign=0.999,phishing=0.0007,… (for argparse)."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like benign=0.99,phishing=0.005,… Got {text}") from None


def _positive(text: str) -> int:
    """Read a whole number above zero (for argparse)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0. Got {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
