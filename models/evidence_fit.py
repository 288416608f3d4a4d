"""Fits the tables of `models/ngram_evidence.py`: regularised logistic regression over TF-IDF of n-grams.

The network must not see how well that model knows its own training names: it would learn to trust it blindly,
and be let down by new names. So training names get cross-fitted evidence: those of a fold, from a model that
was fitted on the other folds (as in stacking, Wolpert 1992). Folds consist of whole registered domains.
"""

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression

from models.ngram_evidence import NgramEvidence, ngram_hashes
from utils.config import ModelConfig
from utils.errors import DataError
from utils.files import atomic_path

logger = logging.getLogger(__name__)

NAMES_AT_ONCE = 20_000
# SAGA, as for the baseline (utils/baseline.py), where other solvers and this tolerance were measured.
TOLERANCE, MAX_PASSES = 0.01, 100


@dataclass(frozen=True, slots=True)
class EvidenceTables:
    """What the fits gave; the last of each is from all names, those before it are of the folds.

    Attributes
    ----------
    tables, scales, biases
        (F + 1, buckets, K) int8, (F + 1, K) float32 and (F + 1, K) float32.
    """

    tables: np.ndarray
    scales: np.ndarray
    biases: np.ndarray

    @classmethod
    def load(cls, path: Path) -> "EvidenceTables":
        """Read what `save` wrote.

        Raises
        ------
        DataError
            The file is damaged or another.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["tables"], file["scales"], file["biases"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(path, f"not the n-gram evidence of a training: {error}") from None

    def save(self, path: Path) -> None:
        """Write the tables to a file that appears whole: a training that goes on need not fit again."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, tables=self.tables, scales=self.scales, biases=self.biases)

    def fill(self, evidence: NgramEvidence) -> None:
        """Put the tables into the network, those of the folds for training."""
        tables, scales, biases = map(torch.from_numpy, (self.tables, self.scales, self.biases))
        device = evidence.table.device
        evidence.table.copy_(tables[-1])
        evidence.scale.copy_(scales[-1])
        evidence.bias.copy_(biases[-1])
        evidence.fold_tables = tables[:-1].to(device)
        evidence.fold_scales = scales[:-1].to(device)
        evidence.fold_biases = biases[:-1].to(device)


def evidence_folds(groups: np.ndarray, sizes: ModelConfig) -> np.ndarray:
    """Return the fold of each name, (N,) int64, from the hash of its registered domain, (N,) uint64."""
    # Not the lowest bits alone, and not the highest, which say who is in which part (data/split.py).
    return ((groups >> np.uint64(7)) % np.uint64(sizes.evidence_folds)).astype(np.int64)


def fit_evidence(
    codes: np.ndarray, labels: np.ndarray, folds: np.ndarray, num_classes: int, sizes: ModelConfig
) -> EvidenceTables:
    """Fit on the training names, all of them and all but each fold.

    Parameters
    ----------
    codes, labels, folds
        (N, T) uint8, (N,) and (N,) integers.

    Notes
    -----
    For 914,797 names the process needs 3.3 GB and, for each fold, 40 to 45 s of one processor.
    """
    features, idf = _features(codes, sizes)
    count = sizes.evidence_folds + 1
    tables = np.zeros((count, sizes.evidence_buckets, num_classes), dtype=np.int8)
    scales = np.ones((count, num_classes), dtype=np.float32)
    biases = np.zeros((count, num_classes), dtype=np.float32)
    for fold in range(count):
        rows = np.flatnonzero(folds != fold)
        weights, bias = _fit(features[rows], labels[rows], num_classes, sizes, seed=fold)
        columns = np.vstack([(weights[1:] - weights[0]) * idf, idf]).T  # (buckets, K)
        scales[fold] = np.maximum(np.abs(columns).max(axis=0), 1e-12) / 127
        tables[fold] = np.rint(columns / scales[fold])
        biases[fold] = bias - bias[0]
        logger.info("n-gram evidence: fit %d of %d, on %s names", fold + 1, count, f"{len(rows):,}")
    return EvidenceTables(tables, scales, biases)


def _features(codes: np.ndarray, sizes: ModelConfig) -> tuple[csr_matrix, np.ndarray]:
    """Return TF-IDF rows of length 1, (N, buckets) float32, and the inverse frequencies, (buckets,)."""
    features = vstack([_counts(part, sizes) for part in _parts(codes)], format="csr")
    features.indices = features.indices.astype(np.int32)  # SAGA takes no others
    features.indptr = features.indptr.astype(np.int32)
    frequency = np.bincount(features.indices, minlength=features.shape[1])
    idf = np.log((1 + features.shape[0]) / (1 + frequency)) + 1
    idf[frequency == 0] = 0
    idf = (np.rint(idf / idf.max() * 127) * (idf.max() / 127)).astype(np.float32)  # what a byte can say
    # `NgramEvidence` divides by √Σ idf² over occurrences. SAGA's step is one over the longest row, and a name
    # like "aaaa…" is longer than 1 for its repetitions: the fit (only) sees it at length 1, or all steps
    # would be tiny and the fit would stop far from its end.
    starts = features.indptr[:-1]
    occurrences = np.add.reduceat(np.append(features.data * idf[features.indices] ** 2, 0), starts)
    features.data *= idf[features.indices]
    repetitions = np.add.reduceat(np.append(features.data**2, 0), starts)
    lengths = np.sqrt(np.maximum(occurrences, repetitions)).astype(np.float32)
    features.data /= np.repeat(lengths, np.diff(features.indptr))
    return features, idf


def _counts(codes: np.ndarray, sizes: ModelConfig) -> csr_matrix:
    """Return how often each bucket occurs in each name."""
    width = max(int((codes != 0).sum(axis=1).max()), 1)
    hashes, present = ngram_hashes(torch.from_numpy(codes[:, :width]), sizes.evidence_ngrams)
    rows, *_ = places = present.nonzero(as_tuple=True)
    columns = (hashes[places] % sizes.evidence_buckets).to(torch.int32).numpy()
    values = np.ones(len(columns), dtype=np.float32)
    shape = (len(codes), sizes.evidence_buckets)
    return csr_matrix((values, (rows.to(torch.int32).numpy(), columns)), shape=shape)


def _parts(codes: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(codes), NAMES_AT_ONCE):
        yield codes[start : start + NAMES_AT_ONCE]


def _fit(
    features: csr_matrix, labels: np.ndarray, num_classes: int, sizes: ModelConfig, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K, buckets) and bias (K,); a class without a name says nothing."""
    weights = np.zeros((num_classes, features.shape[1]), dtype=np.float32)
    bias = np.zeros(num_classes, dtype=np.float32)
    classes = np.unique(labels)
    if len(classes) < 2:
        return weights, bias
    model = LogisticRegression(
        C=sizes.evidence_regularization,
        solver="saga",
        tol=TOLERANCE,
        max_iter=MAX_PASSES,
        random_state=seed,
    )
    model.fit(features, labels)
    if len(classes) == 2:  # scikit-learn gives one row, for the second class
        weights[classes[1]], bias[classes[1]] = model.coef_[0], model.intercept_[0]
    else:
        weights[classes], bias[classes] = model.coef_, model.intercept_
    return weights, bias
