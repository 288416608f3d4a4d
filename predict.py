"""Tell whether domain names are benign, phishing or malware, and whether to block them.

python predict.py                                                    the interactive prompt
python predict.py --input domains.json --output predictions.json     a file
python predict.py --input 'logs/*.jsonl.gz' --output results/        many files: docs/SCALING.md
cut -f3 proxy.tsv | python predict.py > predictions.jsonl            a pipe
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from utils.argument_types import ScriptParser, class_shares, output_format_name, positive, share
from utils.config import FORMATS
from utils.decision import DEFAULT_MAX_FPR
from utils.errors import EXIT_DONE, EXIT_TERMINATED, ConfigError, run_script
from utils.prediction_formats import OUTPUT_FORMATS, output_format
from utils.processes import launched
from utils.signals import Terminated, termination_interrupts

if TYPE_CHECKING:  # torch takes two seconds to import: a usage error must not wait for it
    from models.answering import Answerer
    from models.prediction_run import PredictionJob


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ScriptParser(
        description="Tell whether domain names are benign, phishing or malware, and whether to block them. "
        "Without --input: the interactive prompt on a terminal, else names from stdin.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated.",
    )
    add_input_options(parser.add_argument_group("input"))
    add_output_options(parser.add_argument_group("output"))
    add_decision_options(parser.add_argument_group("decisions"))
    add_reason_options(parser.add_argument_group("reasons"))
    model = parser.add_argument_group("model")
    model.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a .pt, or an .onnx from export.py; default: the latest run, else the shipped model",
    )
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    model.add_argument("--batch-size", type=positive, metavar="N", help="names in one forward pass")
    options, rest = parser.parse_known_args(arguments)
    if rest:
        names = rest[1:] if rest[0] in ("--domain", "--name", "--url") else rest
        is_name = bool(names) and not names[0].startswith("-")
        hint = (
            f"; names come by --input FILE or a pipe: echo {names[0]} | python predict.py" if is_name else ""
        )
        parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    options.is_folder = bool(options.output) and (
        options.output.endswith("/") or Path(options.output).is_dir()
    )
    options.output = options.output and Path(options.output)
    return options


def add_input_options(group: argparse._ArgumentGroup) -> None:
    """Add what says where the names are."""
    group.add_argument(
        "--input",
        metavar="FILE",
        help="JSON, JSON Lines, text, CSV, Zeek log; also .gz, .zst; - is stdin; "
        "a pattern where --output is a folder",
    )
    group.add_argument("--input-format", choices=FORMATS, default="auto", help="default: look at the input")
    group.add_argument(
        "--column",
        metavar="NAME",
        help="what holds the names: a CSV column, a JSON key (dns.rrname), a number from 1 where columns "
        "have no names",
    )
    group.add_argument(
        "--no-check-all-keys",
        dest="check_all_keys",
        action="store_false",
        help="let a JSON key that is not read stand twice in its object: reads long records 4 times as fast",
    )


def add_output_options(group: argparse._ArgumentGroup) -> None:
    """Add what says where the answers go."""
    group.add_argument(
        "--output",
        metavar="FILE",
        help="default: stdout; a folder, FILE/, gets a file for each part of the input",
    )
    group.add_argument(
        "--format",
        type=output_format_name,
        metavar="{" + ",".join(OUTPUT_FORMATS) + "}",
        help="of the output; default: what the name of --output ends in; on a terminal table, else jsonl",
    )
    group.add_argument(
        "--keep-fields", action="store_true", help="put the whole input record beside each answer"
    )
    group.add_argument(
        "--line-buffered", action="store_true", help="answer each line as it comes, at the cost of speed"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on where an interrupted job with this --output stopped"
    )


def add_decision_options(group: argparse._ArgumentGroup) -> None:
    """Add what says how a score becomes a decision."""
    threshold = group.add_mutually_exclusive_group()
    threshold.add_argument(
        "--max-fpr",
        type=share,
        metavar="RATE",
        help=f"block at this rate of false positives: 0.01, 0.001 or 0.0001; default: {DEFAULT_MAX_FPR}",
    )
    threshold.add_argument("--threshold", type=share, metavar="SCORE", help="block from this score")
    for option in ("--allow-list", "--block-list"):
        group.add_argument(
            option,
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="names for which the list decides: example.com, *.example.com or # comment; may be repeated",
        )
    group.add_argument(
        "--prior",
        type=class_shares,
        metavar="CLASS=SHARE,…",
        help="class shares that the probabilities assume; default: those of the training data",
    )


def add_reason_options(group: argparse._ArgumentGroup) -> None:
    """Add what says whether answers come with reasons."""
    group.add_argument(
        "--explain",
        action="store_true",
        help="say which parts of a name moved its score, and facts about it; some 50 times as slow",
    )
    group.add_argument(
        "--explain-html",
        type=Path,
        metavar="FILE",
        help="the same as one HTML page, for at most some thousand rows; implies --explain",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_script("predict.py", lambda: run(parse_arguments(arguments)))


def run(options: argparse.Namespace) -> int:
    """Open the prompt or answer a file or a pipe."""
    try:
        if options.input is None and sys.stdin.isatty():
            refuse_options_of_files(options)
            return ask(options)
        with termination_interrupts():
            return predict_folder(options) if options.is_folder else predict_file(options)
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has had enough: nothing more to say, not even at exit
        return EXIT_DONE
    except Terminated:
        tell("terminated")
        return EXIT_TERMINATED


def predict_folder(options: argparse.Namespace) -> int:
    """Answer many files; torchrun may have started several processes, each of which answers its parts."""
    if options.input in (None, "-") or options.format == "table":
        raise ConfigError("an --output folder goes with --input of files, and takes no --format table")
    if options.line_buffered or options.explain_html:
        raise ConfigError("--line-buffered and --explain-html do not go with an --output folder")
    launch = launched()
    from data.file_parts import split_files
    from data.sources import find_files
    from models.prediction_parts import run_parts

    def say(line: str) -> None:
        tell(line if launch is None else f"process {launch.rank}: {line}")

    files = split_files(find_files(options.input), options.input_format)
    place = (0, 1) if launch is None else (launch.rank, launch.size)
    run_parts(plan_job(options), options.output, files, place, lambda: load_answerer(options), say)
    return EXIT_DONE


def predict_file(options: argparse.Namespace) -> int:
    """Answer every row of a file or of stdin."""
    if (launch := launched()) is not None and launch.size > 1:
        raise ConfigError("several processes need an --output folder: its name ends in /")
    from models.prediction_run import run_job
    from utils.explanation_html import ExplanationPage

    job = plan_job(options)
    job.check()
    job.check_start()
    page = None
    if options.explain_html is not None:
        if options.resume:
            raise ConfigError("--explain-html needs every row: it does not go with --resume")
        page = ExplanationPage(options.explain_html, [job.source, job.output])
    answerer = load_answerer(options)
    answerer.explain = job.explain
    run_job(job, answerer, tell, None if page is None else page.add)
    if page is not None:
        tell(page.write(answerer.rule.description))
    return EXIT_DONE


def plan_job(options: argparse.Namespace) -> "PredictionJob":
    """Return what is read and written, with all that decides the output."""
    from data.fingerprint import fingerprint
    from models.model_choice import default_checkpoint
    from models.prediction_run import PredictionJob, file_digest

    if options.is_folder:
        format = options.format or "jsonl"
    else:
        format = output_format(options.output, options.format, is_terminal=sys.stdout.isatty())
    path = options.checkpoint or default_checkpoint()
    return PredictionJob(
        source=Path("-" if options.input is None else options.input),
        input_format=options.input_format,
        column=options.column,
        keep_fields=options.keep_fields,
        all_keys=options.check_all_keys,
        output=options.output,
        output_format=format,
        line_buffered=options.line_buffered,
        resume=options.resume,
        explain=options.explain or options.explain_html is not None,
        decisive={
            "checkpoint": file_digest(path) if path.is_file() else None,
            "decisions": [options.max_fpr, options.threshold, options.prior],
            "lists": [
                [fingerprint(path) for path in paths] for paths in (options.allow_list, options.block_list)
            ],
            "devices": [options.device, options.batch_size],
        },
    )


def ask(options: argparse.Namespace) -> int:
    """Answer at the interactive prompt."""
    from models.prompt_session import PromptSession
    from utils.prompt import run_prompt

    answerer = load_answerer(options)
    answerer.explain = True
    answerer.answer_text("example.com")  # the first answer reads the public suffix list: nobody waits for it
    run_prompt(PromptSession(answerer), sys.stdout)
    return EXIT_DONE


def load_answerer(options: argparse.Namespace) -> "Answerer":
    """Load the model, and say which one answers and how it decides."""
    from data.name_lists import NameLists
    from models.allocator import keep_freed_memory
    from models.answering import Answerer
    from models.model_choice import default_checkpoint, load_classifier
    from utils.decision import choose_rule

    keep_freed_memory()
    lists = NameLists(options.allow_list, options.block_list)
    path = options.checkpoint or default_checkpoint()
    device = options.device
    if (launch := launched()) is not None and device != "cpu" and path.suffix.lower() != ".onnx":
        from models.device import process_device

        device = str(process_device(device, launch.local_rank))
    classifier = load_classifier(path, device, options.batch_size, options.prior, tell)
    rule = choose_rule(classifier.signature.thresholds, options.max_fpr, options.threshold)
    tell(rule.description)
    return Answerer(classifier, rule, lists if lists else None)


def refuse_options_of_files(options: argparse.Namespace) -> None:
    """Raise where an option that only a file or a pipe has comes with the prompt."""
    given = [options.output, options.column, options.format, options.keep_fields, options.explain_html]
    if any(given) or options.line_buffered or options.resume or options.input_format != "auto":
        raise ConfigError("options of input and output go with --input, or with names from a pipe")


def tell(line: str) -> None:
    """Say something to people: results alone go to stdout."""
    print(f"predict.py: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
