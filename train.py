"""Train a classifier of malicious domain names, evaluate it and write a run folder.

python train.py --config config_test.yaml                       the embedded sample, a minute
python train.py --config config.yaml                            the Zenodo files
python train.py --config config.yaml --set data.root=/data --set training.epochs=20
python train.py --config config.yaml --dry-run                  check configuration and data, one step
python train.py --resume auto                                   the run that was interrupted last
torchrun --nproc-per-node=2 train.py --config config.yaml       several processes: docs/SCALING.md
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.argument_types import ScriptParser
from utils.config import Config, load_config
from utils.config_names import setting_names
from utils.errors import EXIT_DONE, ConfigError, run_script
from utils.processes import Launch, OneProcess, launched, leave
from utils.run_folder import RunFolder, interrupted_run, run_of, run_of_job
from utils.terminal_text import write_result

if TYPE_CHECKING:
    from models.training_run import TrainingRun

logger = logging.getLogger("train")

DRY_RUN_RECORDS = 20_000  # of each file


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = ScriptParser(
        description="Train a classifier of malicious domain names, evaluate it and write a run folder.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 130 interrupted, 143 terminated.",
        file_options={".yaml": "--config", ".yml": "--config"},
        settings=setting_names(Config),
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
    return run_script("train.py", lambda: run(parse_arguments(arguments)))


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    if options.resume and options.set:
        raise ConfigError("--set goes with --config: a resumed run keeps its configuration")
    with ExitStack() as locks:
        return train(options, locks)


def train(options: argparse.Namespace, locks: ExitStack) -> int:
    """Train, and judge what came of it; `locks` keep other trainings from the run folder."""
    with _processes(options.device) as processes:
        start = processes.on_first(lambda: prepare(options, processes.launch, locks))
        device_name = str(processes.device or options.device)
        if options.dry_run:
            dry_run(start.config, device_name, processes)
            return EXIT_DONE
        training, folder = begin(start, device_name, processes, locks)
        training.fit(folder, start.trainer_state)
    if processes.is_first:  # the others have nothing left to do
        training.calibrate(folder)
        training.report(folder)
        write_result(str(folder.path))
    return EXIT_DONE


@contextmanager
def _processes(device_name: str) -> Iterator[OneProcess]:
    """Join the other processes where torchrun has started this one."""
    launch = launched()
    if launch is None:
        yield OneProcess()
        return
    from models.distributed import joined

    if launch.rank:
        logging.getLogger().setLevel(logging.ERROR)  # one process tells how it goes
    with joined(launch, device_name) as processes:
        yield processes


# Torch takes two seconds to import, and a usage error must not wait for it: hence the imports in functions.


@dataclass(frozen=True, slots=True)
class Start:
    """What a training starts from: for a run to go on with, its folder and the trainer's state."""

    config: Config
    folder: RunFolder | None = None
    trainer_state: dict[str, Any] | None = None


def prepare(options: argparse.Namespace, launch: Launch | None, locks: ExitStack) -> Start:
    """Find out whether a run is begun or gone on with, and read its configuration."""
    if options.resume == "auto":
        folder = interrupted_run(Path("runs"))
    elif options.resume:
        folder = run_of(Path(options.resume))
    else:
        config = load_config(options.config, options.set)
        job = None if options.dry_run else launch
        folder = job and run_of_job(Path(config.output.directory), job, config)
        if folder is None:
            return Start(config)
    hold(folder, locks)  # before anything is looked at that another training may still change
    folder.require_unfinished()
    from models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder.last)
    if checkpoint.trainer_state is None:
        raise ConfigError(f"{folder.last}: holds no training to go on with")
    logger.info("going on with %s", folder.path)
    folder.remove_leftovers()
    return Start(checkpoint.config, folder, dict(checkpoint.trainer_state))


def hold(folder: RunFolder, locks: ExitStack) -> None:
    """Keep other trainings from a run, as far as its file system can."""
    if not locks.enter_context(folder.held()):
        logger.warning(
            "%s: no file locks here: see to it that no second training writes this run", folder.path
        )


def begin(
    start: Start, device_name: str, processes: OneProcess, locks: ExitStack
) -> tuple["TrainingRun", RunFolder]:
    """Read the data, and make the folder of a new run or check the one to go on with."""
    from models.training_run import TrainingRun

    training = TrainingRun(start.config, device_name, processes=processes)

    def prepare_folder() -> RunFolder:
        if start.folder is not None:
            training.go_on_with(start.folder)
            return start.folder
        output = start.config.output
        folder = RunFolder.create(Path(output.directory), output.name, datetime.now())
        hold(folder, locks)
        folder.write_config(start.config)
        folder.write_json("manifest.json", training.facts)
        logger.info("run folder %s", folder.path)
        return folder

    return training, processes.on_first(prepare_folder)


def dry_run(config: Config, device_name: str, processes: OneProcess) -> None:
    """Show what would be trained, and run one step of training and of validation."""
    from models.training_run import TrainingRun

    run = TrainingRun(config, device_name, limit=DRY_RUN_RECORDS, processes=processes)
    history = run.one_step()
    if not processes.is_first:
        return
    write_result(f"data (at most {DRY_RUN_RECORDS:,} records of each file):")
    for name, counts in run.data.counts().items():
        write_result(f"  {name:<11}" + "".join(f"{count:>9,} {label}" for label, count in counts.items()))
    for reason, count in run.data.drops.items():
        write_result(f"  dropped    {count:>9,} {reason}")
    if config.data.split == "time":
        write_result(f"  no date    {run.data.num_undated():>9,} names: they are split by registered domain")
    write_result(f"one step: loss {history['loss'][0]:.4f}, validation loss {history['val_loss'][0]:.4f}")
    write_result("dry run: nothing was written")


if __name__ == "__main__":
    leave(main())
