"""How far one gets without reading the name: decision trees on its TLD, its length, its number of labels.

Sources differ in their TLD mix, their share of subdomains and their lengths, and a model may learn the source
instead of the threat. What a shallow tree reaches on such a feature alone is no merit of the network.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from utils.evaluation import validation_metrics

MAX_DEPTH = 6
# Rare TLDs are drawn towards the overall class shares as if they had this many names more.
PRIOR_NAMES = 20


def audit_shortcuts(
    train_domains: Sequence[str],
    train_labels: np.ndarray,
    test_domains: Sequence[str],
    test_labels: np.ndarray,
    *,
    benign_index: int,
    num_classes: int | None = None,
    max_depth: int = MAX_DEPTH,
    seed: int = 0,
) -> dict:
    """Train a depth-limited tree on each shortcut, and on all of them; score them on the test names.

    Parameters
    ----------
    train_labels, test_labels
        (N,) integers 0…K−1.
    num_classes
        K; None takes the largest label + 1.

    Returns
    -------
    dict
        max_depth, and `features`: tld, length, label_count, all → {macro_f1, roc_auc, recall_at_1pct_fpr}
        on the test names, None where undefined (malicious versus benign needs both).
    """
    train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    if num_classes is None:
        num_classes = int(max(train_labels.max(), test_labels.max())) + 1
    encoding = _encode_tlds(train_domains, train_labels, num_classes)
    train = _shortcut_features(train_domains, encoding)
    test = _shortcut_features(test_domains, encoding)
    train["all"] = np.concatenate(list(train.values()), axis=1)
    test["all"] = np.concatenate(list(test.values()), axis=1)
    scores = {}
    for name, columns in train.items():
        tree = DecisionTreeClassifier(max_depth=max_depth, min_samples_leaf=PRIOR_NAMES, random_state=seed)
        tree.fit(columns, train_labels)
        probabilities = np.zeros((len(test_labels), num_classes))
        probabilities[:, tree.classes_] = tree.predict_proba(test[name])
        values = validation_metrics(test_labels, probabilities, benign_index)
        values["roc_auc"] = values.pop("auc")
        scores[name] = {key: value if np.isfinite(value) else None for key, value in values.items()}
    return {"max_depth": max_depth, "features": scores}


def _tlds(domains: Sequence[str]) -> list[str]:
    """Return the last label of each name."""
    return [domain.rpartition(".")[2] for domain in domains]


def _encode_tlds(
    domains: Sequence[str], labels: np.ndarray, num_classes: int
) -> tuple[dict[str, int], np.ndarray]:
    """Return TLD → row, and the rows: smoothed class shares and log frequency; the last row is "never seen".

    From the training names only: a share that had seen the test labels would be no forecast.
    """
    names, codes = np.unique(_tlds(domains), return_inverse=True)
    counts = np.bincount(codes * num_classes + labels, minlength=len(names) * num_classes)
    counts = np.vstack([counts.reshape(len(names), num_classes), np.zeros(num_classes)])
    totals = counts.sum(axis=1, keepdims=True)
    prior = np.bincount(labels, minlength=num_classes) / len(labels)
    shares = (counts + PRIOR_NAMES * prior) / (totals + PRIOR_NAMES)
    return {name: row for row, name in enumerate(names.tolist())}, np.hstack([shares, np.log1p(totals)])


def _shortcut_features(
    domains: Sequence[str], encoding: tuple[dict[str, int], np.ndarray]
) -> dict[str, np.ndarray]:
    """Return each shortcut's columns, (N, F) float32."""
    rows, table = encoding
    unseen = len(table) - 1
    places = np.array([rows.get(tld, unseen) for tld in _tlds(domains)], dtype=np.int64)
    return {
        "tld": table[places].astype(np.float32),
        "length": np.array([[len(domain)] for domain in domains], dtype=np.float32),
        "label_count": np.array([[domain.count(".") + 1] for domain in domains], dtype=np.float32),
    }
