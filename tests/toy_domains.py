"""Made-up names whose class a tiny model can learn in a second, and the configuration of that model."""

import random

import numpy as np

from utils.config import Config, DataConfig, EvaluationConfig, ModelConfig, SourceConfig, TrainingConfig

CLASSES = ("benign", "phishing", "malware")
MAX_LENGTH = 40
_WORDS = (
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "falcon",
    "garnet",
    "harbor",
    "island",
    "jasper",
    "kettle",
)
_LURES = ("login", "secure", "verify", "account", "update", "wallet", "support", "signin")


def toy_domains(count, seed=0):
    """Return `count` distinct names and their labels (count,), the classes in turn.

    Benign: two words. Phishing: lures and hyphens. Malware: random letters and digits.
    """
    draw = random.Random(seed)
    names, labels = [], []
    while len(names) < count:
        label = len(names) % len(CLASSES)
        if label == 0:
            name = f"{draw.choice(_WORDS)}{draw.choice(_WORDS)}{draw.randrange(100)}.com"
        elif label == 1:
            lure, bait = draw.choice(_LURES), draw.choice(_LURES)
            name = f"{lure}-{draw.choice(_WORDS)}-{draw.randrange(1000)}.{bait}.top"
        else:
            name = "".join(draw.choices("bcdfghjkqvwxz0123456789", k=draw.randrange(8, 30))) + ".xyz"
        if name not in names:
            names.append(name)
            labels.append(label)
    return names, np.array(labels)


def toy_config(**training):
    """Return the configuration of a model of some 6,000 weights; `training` changes its TrainingConfig."""
    settings = {"batch_size": 16, "epochs": 3, "learning_rate": 0.01, "early_stopping_patience": 50}
    return Config(
        data=DataConfig(
            classes=CLASSES,
            sources=tuple(SourceConfig(path=f"{name}.txt", label=name) for name in CLASSES),
            max_length=MAX_LENGTH,
        ),
        model=ModelConfig(
            embedding_dim=16,
            conv_filters=(24, 16),
            kernel_size=3,
            lstm_units=12,
            attention_units=6,
            dense_units=(16,),
            dropout_rate=0.1,
        ),
        training=TrainingConfig(**settings | training),
        evaluation=EvaluationConfig(bootstrap_resamples=0),
    )
