"""Train a classifier of malicious domain names, evaluate it and write a run folder.

python train.py --config config_test.yaml                       the embedded sample, a minute
python train.py --config config.yaml                            the Zenodo files
python train.py --config config.yaml --set data.root=/data --set training.epochs=20
python train.py --config config.yaml --dry-run                  check configuration and data, one step
python train.py --resume auto                                   the run that was interrupted last
"""

import argparse
import logging
import sys
from datetime import datetime
from pathlib import Path

from utils.config import Config, load_config
from utils.errors import EXIT_DONE, ConfigError, run_script
from utils.run_folder import RunFolder, interrupted_run, run_of

logger = logging.getLogger("train")

DRY_RUN_RECORDS = 20_000  # of each file


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Train a classifier of malicious domain names, evaluate it and write a run folder.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 130 interrupted, 143 terminated.",
    )
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML; every key is explained in config.yaml"
    )
    start.add_argument(
        "--resume",
        metavar="RUN",
        help="a run folder, its last.pt, a folder of runs (its newest unfinished run), or auto: runs/",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. training.epochs=3; repeatable"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps; default: auto")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything on a sample of each file, train one step, write nothing",
    )
    options = parser.parse_args(arguments)
    if options.dry_run and options.resume:
        parser.error("--dry-run goes with --config")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    return run_script("train.py", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for."""
    if options.dry_run:
        dry_run(load_config(options.config, options.set), options.device)
    elif options.resume:
        print(resume(options).path)
    else:
        print(start(load_config(options.config, options.set), options.device).path)
    return EXIT_DONE


# Torch takes two seconds to import, and a usage error must not wait for it: hence the imports in functions.


def start(config: Config, device_name: str) -> RunFolder:
    """Begin a new run."""
    from models.training_run import TrainingRun

    run = TrainingRun(config, device_name)
    folder = RunFolder.create(Path(config.output.directory), config.output.name, datetime.now())
    folder.write_config(config)
    folder.write_json("manifest.json", run.facts)
    logger.info("run folder %s", folder.path)
    run.fit(folder, None)
    run.report(folder)
    return folder


def resume(options: argparse.Namespace) -> RunFolder:
    """Go on with an interrupted run, in its own folder and with its own configuration."""
    if options.set:
        raise ConfigError("--set goes with --config: a resumed run keeps its configuration")
    folder = interrupted_run(Path("runs")) if options.resume == "auto" else run_of(Path(options.resume))
    from models.checkpoint import load_checkpoint
    from models.training_run import TrainingRun

    checkpoint = load_checkpoint(folder.last)
    if checkpoint.trainer_state is None:
        raise ConfigError(f"{folder.last}: holds no training to go on with")
    logger.info("going on with %s", folder.path)
    folder.remove_leftovers()
    run = TrainingRun(checkpoint.config, options.device)
    run.require_same_data(folder)
    run.fit(folder, checkpoint.trainer_state)
    run.report(folder)
    return folder


def dry_run(config: Config, device_name: str) -> None:
    """Show what would be trained, and run one step of training and of validation."""
    from models.training_run import TrainingRun

    run = TrainingRun(config, device_name, limit=DRY_RUN_RECORDS)
    history = run.one_step()
    print(f"data (at most {DRY_RUN_RECORDS:,} records of each file):")
    for name, counts in run.data.counts().items():
        print(f"  {name:<11}" + "".join(f"{count:>9,} {label}" for label, count in counts.items()))
    for reason, count in run.data.drops.items():
        print(f"  dropped    {count:>9,} {reason}")
    print(f"one step: loss {history['loss'][0]:.4f}, validation loss {history['val_loss'][0]:.4f}")
    print("dry run: nothing was written")


if __name__ == "__main__":
    sys.exit(main())
