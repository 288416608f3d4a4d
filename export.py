"""A checkpoint in another form, checked against the original before it is kept.

python export.py --checkpoint runs/latest/best.pt --format onnx --output model.onnx
python export.py --checkpoint runs/latest/best.pt --format compact --output small.pt

onnx: for ONNX Runtime, also through predict.py (see docs/DEPLOYMENT.md). torchscript, torch-export: for
programs that have PyTorch. compact: a checkpoint to hand on, without the folders, the command and the state
of its training, and with learned n-gram tables (model.ngram_sizes) in half precision; it loads like any
other. Only a checkpoint that has such tables, or a last.pt, becomes smaller.
"""

import argparse
import sys
from pathlib import Path

from utils.argument_types import ScriptParser
from utils.errors import EXIT_DONE, CheckpointError, ConfigError, run_script
from utils.terminal_text import write_result

# format → the ending that its readers go by; None where they do not care
FORMATS = {"compact": None, "onnx": ".onnx", "torchscript": None, "torch-export": ".pt2"}
# Half precision keeps 11 bits; what that may move a probability by.
COMPACT_TOLERANCE = 2e-3
SAMPLE = Path(__file__).parent / "data" / "sample"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ScriptParser(
        description="Write a checkpoint in another form, checked against the original.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.",
        file_options={".pt": "--checkpoint"},
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="what to export")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="onnx: for ONNX Runtime and predict.py; torchscript (deprecated by PyTorch), torch-export: for "
        "programs that have PyTorch; compact: for handing on, n-gram tables in half precision, no state",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where to write it")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_script("export.py", lambda: export(parse_arguments(arguments)))


def export(options: argparse.Namespace) -> int:
    """Export, and say what came of it."""
    ending = FORMATS[options.format]
    if ending is not None and options.output.suffix.lower() != ending:
        raise ConfigError(f"--output {options.output}: a file of --format {options.format} ends in {ending}")
    paths = [path for path in (options.checkpoint, options.output) if path.exists()]
    if len(paths) == 2 and paths[0].samefile(paths[1]):
        raise ConfigError(f"--output {options.output} is the checkpoint")
    if options.format == "torchscript":
        print(
            "export.py: PyTorch deprecates TorchScript since 2.10; its successor is --format torch-export",
            file=sys.stderr,
        )
    write = export_compact if options.format == "compact" else export_model
    before = options.checkpoint.stat().st_size if options.checkpoint.exists() else 0
    difference, names = write(options.checkpoint, options.output, options.format)
    size = options.output.stat().st_size
    write_result(f"{options.output}: {size:,} bytes; {options.checkpoint} had {before:,}")
    write_result(f"on {names:,} names no probability moved by more than {difference:.1e}")
    return EXIT_DONE


def export_model(path: Path, output: Path, format: str) -> tuple[float, int]:
    """Write a checkpoint for another runtime; return the largest difference, and on how many names.

    The signature is in the metadata of an .onnx file, and for the other formats in a JSON file beside it.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be read, exported or written, or the export answers otherwise.
    """
    from models.checkpoint import load_checkpoint
    from models.export_check import check_export
    from models.exporting import EXPORTERS
    from models.signature import signature_json
    from utils.files import atomic_path, write_text

    checkpoint = load_checkpoint(path)
    content = EXPORTERS[format](checkpoint)
    try:
        agreement = check_export(checkpoint, content, format)
    except CheckpointError as error:
        raise CheckpointError(f"{output}: not written: {error}") from None
    with atomic_path(output) as temporary:
        temporary.write_bytes(content)
    if format != "onnx":
        length = checkpoint.max_length if format == "torch-export" else None
        write_text(output.with_name(f"{output.name}.json"), signature_json(checkpoint, length))
    return agreement.difference, agreement.num_names


def export_compact(path: Path, output: Path, format: str) -> tuple[float, int]:
    """Write the compact form; return the largest difference of a probability, and on how many names.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be read or written, or a probability moves by more than COMPACT_TOLERANCE.
    """
    import numpy as np

    from data.data_loader import read_records
    from data.preprocessor import normalize_domain
    from models.checkpoint import load_checkpoint, save_checkpoint
    from models.classifier import DomainClassifier

    checkpoint = load_checkpoint(path)
    compact = checkpoint.compact()
    records = (record for file in sorted(SAMPLE.glob("*.json")) for record in read_records(file))
    names = [
        name for name in (normalize_domain(record.domain) for record in records) if isinstance(name, str)
    ]
    before, after = (DomainClassifier(each).classify(names) for each in (checkpoint, compact))
    difference = float(np.abs(before - after).max())
    if not difference <= COMPACT_TOLERANCE:
        raise CheckpointError(f"{path}: not written: a probability would move by {difference:.2g}")
    save_checkpoint(output, compact)
    return difference, len(names)


if __name__ == "__main__":
    sys.exit(main())
