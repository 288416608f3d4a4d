"""Made-up names whose class a tiny model can learn in a second, and the configuration of that model."""

import random
from dataclasses import replace

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
            evidence_ngrams=3,
            evidence_buckets=1_009,
            evidence_folds=3,
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


def rich_checkpoint():
    """Return a checkpoint with every part that a network can have; its answers differ widely."""
    import torch

    from data.feature_engineering import NUM_CODES
    from models.checkpoint import Checkpoint
    from models.cnn_lstm_model import CNN_LSTM_Model

    plain = toy_config()
    sizes = {"ngram_sizes": (2, 3), "ngram_buckets": 512, "ngram_dim": 4, "pool_size": 2, "max_pooling": True}
    config = replace(plain, model=replace(plain.model, **sizes))
    torch.manual_seed(1)
    model = CNN_LSTM_Model(NUM_CODES, len(CLASSES), config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight *= 4.5  # an untrained model answers nearly alike whatever it is asked
        model.evidence.table.random_(-127, 128)
        model.evidence.scale.fill_(0.02)
    return Checkpoint(
        model_state_dict=model.state_dict(),
        config=config,
        history={},
        classes=CLASSES,
        benign_class="benign",
        temperature=0.8,
        thresholds={"0.01": 0.75, "0.001": 0.875, "0.0001": None},
        prior={"benign": 0.5, "phishing": 0.3, "malware": 0.2},
        max_length=MAX_LENGTH,
    )
