"""A classifier that costs next to nothing and needs no torch: for what lies around the model."""

import time

import numpy as np

from models.base_classifier import BaseClassifier
from models.signature import ModelSignature

CLASSES = ("benign", "phishing", "malware")
THRESHOLDS = {"0.01": 0.9, "0.001": 0.98, "0.0001": None}
PRIOR = {"benign": 0.5, "phishing": 0.3, "malware": 0.2}

_WAVE = 4 * np.sin(np.linspace(0, 2 * np.pi, 4096, endpoint=False), dtype=np.float32)  # logits

BATCH = 500
# Runs predict.py with this classifier in the place of a checkpoint's, small batches, and a state after each
# of them; the first argument is what a batch takes, TEST_PROCESSES how many processes answer.
PROGRAM = """
import os
import sys
import models.model_choice as choice
import models.prediction_run as prediction_run
import utils.partial_file as partial_file
from tests.fake_classifier import BATCH, FakeClassifier
processes = int(os.environ.get("TEST_PROCESSES", "1"))
choice.load_classifier = lambda *_: FakeClassifier(delay_s=float(sys.argv[1]), processes=processes)
prediction_run.ROWS_AT_ONCE = BATCH
partial_file.SAVE_EVERY_S = 0
os.fsync = lambda file: None  # no test cuts the power, and a busy disk takes its time
import predict
sys.exit(predict.main(sys.argv[2:]))
"""


class FakeClassifier(BaseClassifier):
    """Logits are a fixed function of a name's codes; each batch may take some time."""

    def __init__(self, thresholds=THRESHOLDS, prior=PRIOR, delay_s=0.0, processes=1):
        super().__init__(
            ModelSignature(classes=CLASSES, benign_class="benign", thresholds=thresholds, prior=prior)
        )
        self.delay_s = delay_s
        self.processes = processes
        self.asked: list[int] = []  # names in each batch
        # Whole numbers: sums of fractions would be rounded as the processor and the batch's size have it.
        self._weights = np.random.default_rng(3).integers(len(_WAVE), size=(64, 3))

    def _logits(self, codes):
        time.sleep(self.delay_s)
        self.asked.append(len(codes))
        # The wave spreads the scores: names that differ in one character have nothing in common.
        return _WAVE[codes.astype(np.int64) @ self._weights[: codes.shape[1]] % len(_WAVE)]

    def _attention(self, codes):
        return np.full(codes.shape[1], 1 / codes.shape[1], dtype=np.float32)
