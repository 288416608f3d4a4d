"""What a model makes of sources, or of families of generated names, that its training never saw.

python benchmarks/left_out.py --config models/pretrained/default.yaml --sources swot-academic,global-anti-scam
python benchmarks/left_out.py --config models/pretrained/default.yaml --families banjori,gozi,pushdo
python benchmarks/left_out.py … --set model.evidence_ngrams=0        another network, or other data, beside it

Trains on the training part without those names, and judges two sets: "grouped", validation names of the other
sources and families; and "left out", all names that were left out (those of a family against the benign names
of validation). The gap between the two is memory of sources rather than understanding of names.
docs/EXPERIMENTS.md has the figures for the public lists. Short runs: --names and --epochs.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import circumstances, make_parser, positive, print_circumstances, write_figures
from data.feature_engineering import encode_domains
from data.labelled_domains import LabelledDomains, join_datasets
from data.preprocessor import class_weights, load_parts
from models.architectures import build_model
from models.base_classifier import probabilities_from_logits
from models.batching import predict_logits
from models.evidence_fit import evidence_folds, fit_evidence
from models.model_trainer import ModelTrainer
from utils.config import Config, load_config
from utils.errors import ConfigError, UserError
from utils.evaluation import validation_metrics

MOST_JUDGED = 60_000  # names of each set, drawn at random


def main() -> int:
    """Train, judge, print and write."""
    options = parse_arguments()
    try:
        report = measure(options)
    except UserError as error:
        print(f"left_out.py: {error}", file=sys.stderr)
        return error.exit_code
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--sources", type=_words, default=(), help="values of `source`, with commas between")
    parser.add_argument("--families", type=_words, default=(),
                        help="values of `malware`, with commas between; gozi is gozi_nasa, too")  # fmt: skip
    parser.add_argument("--names", type=positive, default=300_000, help="to train on, default: %(default)s")
    parser.add_argument("--epochs", type=positive, default=2, help="default: %(default)s")
    return parser.parse_args()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def measure(options: argparse.Namespace) -> dict:
    """Train without what is left out; return the figures of both sets.

    Raises
    ------
    ConfigError
        No name, or every name of a class, is left out.
    """
    config = load_config(options.config, options.overrides)
    averaged = min(config.training.averaged_epochs, options.epochs - 1)
    training = replace(config.training, epochs=options.epochs, averaged_epochs=averaged)
    config = replace(config, training=training)
    report = circumstances() | {"sources": options.sources, "families": options.families}
    print_circumstances(report)
    parts = load_parts(config.data).parts
    are_out = {name: left_out(part, options.sources, options.families) for name, part in parts.items()}
    train = some(parts["train"], np.flatnonzero(~are_out["train"]), options.names)
    grouped = some(parts["validation"], np.flatnonzero(~are_out["validation"]), MOST_JUDGED)
    everything = join_datasets([part.take(np.flatnonzero(are_out[name])) for name, part in parts.items()])
    if not len(everything):
        raise ConfigError("no name is of these sources or families")
    benign = config.data.classes.index(config.evaluation.benign_class)
    if not (everything.labels == benign).any():  # a family has no benign names of its own
        everything = join_datasets([everything, grouped.only([config.evaluation.benign_class])])
    judged = {"grouped": grouped, "left out": some(everything, np.arange(len(everything)), MOST_JUDGED)}
    print(f"training on {len(train):,} names: {train.counts()}", flush=True)
    model = trained(train, grouped, config)
    for name, dataset in judged.items():
        codes = encode_domains(dataset.domains, config.data.max_length)
        logits = predict_logits(model, codes, config.training.batch_size, torch.device("cpu"))
        figures = validation_metrics(dataset.labels, probabilities_from_logits(logits), benign)
        report[name] = dataset.counts() | {key: round(value, 4) for key, value in figures.items()}
        print(f"{name:<9}{report[name]}", flush=True)
    return report


def left_out(dataset: LabelledDomains, sources: Sequence[str], families: Sequence[str]) -> np.ndarray:
    """Return which names are of one of the sources or families, (N,) bool; not those for training only."""
    words = np.array(dataset.words, dtype=object)
    is_source = np.array([word in sources for word in words])
    is_family = np.array([word in families or word.partition("_")[0] in families for word in words])
    found = is_source[dataset.sources] | is_family[dataset.families]
    return found & ~dataset.training_only


def some(dataset: LabelledDomains, rows: np.ndarray, most: int) -> LabelledDomains:
    """Return at most so many of the rows, drawn at random, in their order."""
    drawn = np.random.default_rng(0).permutation(rows)[:most]
    return dataset.take(np.sort(drawn))


def trained(train: LabelledDomains, validation: LabelledDomains, config: Config) -> nn.Module:
    """Return a network that was trained as train.py does it, evidence included."""
    torch.manual_seed(config.training.seed)
    classes, settings = config.data.classes, config.training
    model = build_model(len(classes), config)
    codes, folds = encode_domains(train.domains, config.data.max_length), None
    if config.model.evidence_ngrams:
        folds = evidence_folds(train.groups, config.model)
        fit_evidence(codes, train.labels, folds, len(classes), config.model).fill(model.evidence)
    training = replace(settings, early_stopping_metric="val_loss", early_stopping_patience=settings.epochs)
    trainer = ModelTrainer(model, replace(config, training=training), torch.device("cpu"))
    trainer.train(
        codes,
        train.labels,
        encode_domains(validation.domains, config.data.max_length),
        validation.labels,
        class_weights=class_weights(train.labels, classes, settings.class_weights),
        folds=folds,
    )
    return model


if __name__ == "__main__":
    sys.exit(main())
