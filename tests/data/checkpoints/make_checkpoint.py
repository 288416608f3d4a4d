"""Write a small checkpoint of the present format version, for the test that old ones keep loading.

python tests/data/checkpoints/make_checkpoint.py

Run it once when `FORMAT_VERSION` in models/checkpoint.py has been raised, and add what it prints to
tests/test_old_checkpoints.py. It never replaces a file: what a version wrote is what must go on loading.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch

from data.feature_engineering import NUM_CODES, encode_domains
from models.checkpoint import FORMAT_VERSION, Checkpoint, save_checkpoint
from models.classifier import DomainClassifier
from models.cnn_lstm_model import CNN_LSTM_Model
from models.model_trainer import ModelTrainer
from tests.toy_domains import CLASSES, MAX_LENGTH, toy_config, toy_domains

FOLDER = Path(__file__).resolve().parent
ASKED = ("amberbasin7.com", "login-cedar-12.verify.top", "q0x7zk3vbd9.xyz", "xn--e1afmkfd.example")


def main() -> int:
    """Train for eight epochs on made-up names, write the checkpoint, print what it answers."""
    path = FOLDER / f"version-{FORMAT_VERSION}.pt"
    if path.exists():
        print(f"{path.name} is there already; it stays as it was written", file=sys.stderr)
        return 1
    config = toy_config(epochs=8)
    config = replace(config, model=replace(config.model, evidence_ngrams=3, evidence_buckets=1000))
    names, labels = toy_domains(480)
    codes = encode_domains(names, MAX_LENGTH)
    torch.manual_seed(0)
    trainer = ModelTrainer(CNN_LSTM_Model(NUM_CODES, len(CLASSES), config), config, show_progress=False)
    for name, weight in trainer.model.state_dict().items():  # a training run fits these beforehand
        if name == "evidence.table":
            weight.random_(-100, 101)
        elif name.startswith("evidence."):
            weight.fill_(0.02)
    history = trainer.train(codes[:360], labels[:360], codes[360:], labels[360:])
    checkpoint = Checkpoint(
        model_state_dict=trainer.model.state_dict(),
        config=config,
        history=history,
        classes=CLASSES,
        benign_class="benign",
        temperature=1.25,
        thresholds={"0.01": 0.75, "0.001": 0.9, "0.0001": None},
        prior={"benign": 0.5, "phishing": 0.25, "malware": 0.25},
        metadata={"created": "for a test", "seeds": {"data": 0, "training": 0}},
        max_length=MAX_LENGTH,
    )
    save_checkpoint(path, checkpoint)
    answers = DomainClassifier.load(path).classify(ASKED).astype(float).round(5).tolist()
    print(json.dumps(dict(zip(ASKED, answers, strict=True)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
