"""Judge a checkpoint on labelled names it was not trained on, alone or beside another checkpoint.

python evaluate.py --checkpoint runs/latest/best.pt --output report         the run's own test part
python evaluate.py --checkpoint a.pt --compare b.pt --output report         two models, paired intervals
python evaluate.py --checkpoint a.pt --data phishing=new.json --test-part benign --output report
                                                                            new names beside old benign ones
"""

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.argument_types import ScriptParser
from utils.config import DataConfig, SourceConfig
from utils.errors import EXIT_DONE, ConfigError, DataError, run_script
from utils.terminal_text import write_result

if TYPE_CHECKING:  # torch takes two seconds to import: a usage error must not wait for it
    from data.labelled_domains import LabelledDomains
    from models.checkpoint import Checkpoint

logger = logging.getLogger("evaluate")

# What decides, beside the names themselves, which of them a model was trained on.
SPLIT_KEYS = ("split", "seed", "validation_fraction", "test_fraction")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ScriptParser(
        description="Judge a checkpoint on labelled names: JSON, Markdown and figures.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.",
        file_options={".pt": "--checkpoint"},
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="the model to judge")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="another model, on the same names")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where the report is written"
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        type=_labelled,
        metavar="CLASS=FILE",
        help="names to judge on; repeatable",
    )
    parser.add_argument(
        "--test-part", nargs="*", metavar="CLASS", help="also the run's own test names, of these classes only"
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where the run's data lies now, for --test-part"
    )
    parser.add_argument(
        "--baseline", action="store_true", help="train TF-IDF + logistic regression beside it"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    options = parser.parse_args(arguments)
    if not options.data and options.test_part is None:
        options.test_part = []  # the run's own test part, all classes
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_script("evaluate.py", lambda: evaluate(parse_arguments(arguments)))


def evaluate(options: argparse.Namespace) -> int:
    """Load the names and the models, write the report and print its path."""
    check_files(options.data)
    from data.rejection import DROP_REASONS
    from models.allocator import keep_freed_memory
    from models.checkpoint import load_finished
    from models.classifier import DomainClassifier
    from models.device import resolve_device
    from models.scoring import score_names
    from utils.report_files import write_report
    from utils.run_folder import make_folder
    from utils.run_report import Judge
    from utils.versions import versions

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    keep_freed_memory()
    device, reason = resolve_device(options.device)
    logger.info("device %s (%s)", device, reason)
    checkpoint = load_finished(options.checkpoint)
    check_classes(options, checkpoint.classes)
    other = None if options.compare is None else load_finished(options.compare)
    warning = None if other is None else check_comparable(checkpoint, other, options.compare)
    names, dropped, train = load_names(options, checkpoint)
    logger.info("%s", ", ".join(f"{count:,} {label}" for label, count in names.counts().items()))
    make_folder(options.output)
    test = score_names(DomainClassifier(checkpoint, device), names)
    settings = replace(checkpoint.config.evaluation, baseline=options.baseline)
    judge = Judge(checkpoint.classes, checkpoint.thresholds, settings, checkpoint.config.data.seed)
    facts = {
        "run": {"checkpoint": str(options.checkpoint), "command": sys.argv, "versions": versions()},
        "data": {"counts": {"test": names.counts()}, "dropped": dropped, "reasons": DROP_REASONS},
        **describe_split(options, checkpoint),
        "prior": checkpoint.prior,
        "temperature": checkpoint.temperature,
    }
    report, baseline = judge.report(facts, {"test": test}, train)
    if other is not None:
        rival = score_names(DomainClassifier(other, device), names)
        report["comparison"] = {
            "with": str(options.compare),
            "warning": warning,
            "test": judge.judge(rival, rival.probabilities, other.thresholds),
            "differences": judge.compare(test, rival.probabilities),
        }
    write_report(options.output, report, test, baseline=baseline)
    write_result(str(options.output / "report.md"))
    return EXIT_DONE


def check_files(data: list[tuple[str, str]]) -> None:
    """Raise where --data names no file, before a model is loaded.

    Raises
    ------
    ConfigError
        The class stands where the file should.
    DataError
        There is no such file.
    """
    from data.sources import find_files

    for label, path in data:
        if not Path(path).exists() and Path(label).is_file():
            raise ConfigError(f"--data {label}={path}: the class comes first: --data {path}={label}")
        find_files(path)


def check_classes(options: argparse.Namespace, classes: Sequence[str]) -> None:
    """Raise where --data or --test-part names a class that the model does not have."""
    given = [(f"--data {label}={path}", label) for label, path in options.data]
    given += [(f"--test-part {label}", label) for label in options.test_part or []]
    for argument, label in given:
        if label not in classes:
            near = difflib.get_close_matches(label.lower(), classes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(classes)
            raise ConfigError(f"{argument}: '{label}' is not a class of the model: {known}{hint}")


def check_comparable(checkpoint: "Checkpoint", other: "Checkpoint", path: Path) -> str | None:
    """Raise where two models cannot be set side by side; return, and log, why it may be unfair, or None."""
    if other.classes != checkpoint.classes:
        raise ConfigError(f"--compare {path}: has other classes: {', '.join(other.classes)}")
    if other.benign_class != checkpoint.benign_class:
        raise ConfigError(
            f"--compare {path}: has another benign class: "
            f"{other.benign_class} instead of {checkpoint.benign_class}"
        )
    ours, theirs = checkpoint.config.data, other.config.data
    differences = [
        f"data.{key} {getattr(theirs, key)} instead of {getattr(ours, key)}"
        for key in SPLIT_KEYS
        if getattr(theirs, key) != getattr(ours, key)
    ]
    if not differences:
        return None
    warning = (
        f"{path} was trained with another split ({', '.join(differences)}): "
        "it may have trained on names that it is judged on here"
    )
    logger.warning("%s", warning)
    return warning


def describe_split(options: argparse.Namespace, checkpoint: "Checkpoint") -> dict[str, str]:
    """Return the report's word for where the names come from, and how the run's own ones were split."""
    own_split = checkpoint.config.data.split
    if not options.data:
        return {"split": own_split}
    if options.test_part is None:
        return {"split": "files"}
    return {"split": "files_and_test", "split_of_test": own_split}


def load_names(
    options: argparse.Namespace, checkpoint: "Checkpoint"
) -> tuple["LabelledDomains", dict[str, int], tuple | None]:
    """Return the names to judge on, what was dropped, and the run's training part where it is at hand.

    Raises
    ------
    DataError
        A file cannot be read, or no name is left.
    """
    from data.labelled_domains import join_datasets
    from data.preprocessor import add_counts, clean, drop_trained_on, in_words, load_parts, read_rows

    config = replace(checkpoint.config.data, max_per_class=None)
    names, dropped, parts = [], [], None
    if options.test_part is not None:
        # What the run dropped of its own files is no row of these names: the run's report has it.
        parts = load_parts(_own_data(options, checkpoint)).parts
        names.append(parts["test"].only(options.test_part or config.classes))
    if options.data:
        sources = tuple(SourceConfig(path=path, label=label) for label, path in options.data)
        rows, unusable, _ = read_rows(replace(config, root=".", sources=sources))
        dropped.append(unusable)
        if parts is not None:
            rows, known = drop_trained_on(rows, parts)
            dropped.append(known)
        names.append(rows)
    dataset, repeated = clean(join_datasets(names), config)
    drops = add_counts(*dropped, repeated)
    if not len(dataset):
        where = ", ".join(path for _, path in options.data) or checkpoint.config.data.root
        raise DataError(where, f"no name is left to judge on; dropped: {in_words(drops)}")
    train = None if parts is None else (parts["train"].domains, parts["train"].labels)
    return dataset, drops, train


def _own_data(options: argparse.Namespace, checkpoint: "Checkpoint") -> DataConfig:
    """Return the run's own data settings, with the folder in which its files lie now."""
    config = checkpoint.config.data
    return config if options.root is None else replace(config, root=str(options.root))


def _labelled(text: str) -> tuple[str, str]:
    """Read CLASS=FILE (for argparse)."""
    label, equals, path = text.partition("=")
    if not equals or not label or not path:
        raise argparse.ArgumentTypeError(f"must look like CLASS=FILE. Got {text}")
    return label, path


if __name__ == "__main__":
    sys.exit(main())
