"""Probabilities that mean what they say: temperature, class prior, and how far off they are.

NumPy only: prediction imports `reweight_prior` and must not pull in scikit-learn.
"""

import numpy as np

TEMPERATURE_RANGE = (0.05, 20.0)
RELIABILITY_BINS = 15
# A row that gives its true class probability 0 would make the log loss infinite; it costs 34.5 nats instead.
PROBABILITY_FLOOR = 1e-15


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Find the T for which softmax(logits / T) has the lowest log loss (Guo et al. 2017, "On Calibration").

    The log loss is convex in 1/T, so its slope changes sign once: bisection on log(1/T) always finds it.

    Parameters
    ----------
    logits
        (N, K) of names the model was not trained on.
    labels
        (N,) integers 0…K−1.

    Returns
    -------
    float or None
        T within `TEMPERATURE_RANGE`, and 1.0 where the temperature changes nothing (all logits of each row
        are equal). None where the best lies outside: where every row is right, say, any T is too high.

    Raises
    ------
    ValueError
        Where the shapes differ, there are no rows, or a logit is not finite.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels)
    if logits.ndim != 2 or labels.shape != (len(logits),) or not len(logits):
        shapes = f"{logits.shape}, {labels.shape}"
        raise ValueError(f"expected logits (N, K) and labels (N,), N >= 1; got {shapes}")
    if not np.isfinite(logits).all():
        raise ValueError("the logits must be finite")
    logits = logits - logits.max(axis=1, keepdims=True)
    if not logits.any():
        return 1.0
    target = logits[np.arange(len(logits)), labels].mean()

    def slope(inverse: float) -> float:
        """Return the derivative of the mean log loss by 1/T: mean expected logit − mean true logit."""
        powers = np.exp(inverse * logits)
        return float(((powers * logits).sum(axis=1) / powers.sum(axis=1)).mean() - target)

    low, high = (np.log(1 / temperature) for temperature in reversed(TEMPERATURE_RANGE))
    if slope(np.exp(high)) < 0 or slope(np.exp(low)) > 0:
        return None
    for _ in range(50):
        between = (low + high) / 2
        if slope(np.exp(between)) > 0:
            high = between
        else:
            low = between
    return float(np.exp(-(low + high) / 2))


def reweight_prior(probabilities: np.ndarray, old_prior: np.ndarray, new_prior: np.ndarray) -> np.ndarray:
    """Move probabilities from the class prior they were learned under to another one.

    p'(k|x) ∝ p(k|x) · new(k) / old(k): Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a
    Classifier to New a Priori Probabilities". A class-weighted loss learns the prior "count · weight".

    Parameters
    ----------
    probabilities
        (N, K), rows summing to 1.
    old_prior, new_prior
        (K,) positive; counts do as well as shares.

    Returns
    -------
    np.ndarray
        (N, K) in the type of `probabilities`, rows summing to 1.

    Raises
    ------
    ValueError
        Where a prior has the wrong length or an entry that is not positive and finite.
    """
    probabilities = np.asarray(probabilities)
    ratio = _checked_prior("new_prior", new_prior, probabilities) / _checked_prior(
        "old_prior", old_prior, probabilities
    )
    moved = probabilities.astype(np.float64) * ratio
    moved /= moved.sum(axis=1, keepdims=True)
    return moved.astype(probabilities.dtype) if probabilities.dtype.kind == "f" else moved


def _checked_prior(name: str, prior: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return `prior` as shares, (K,) float64, or raise ValueError."""
    prior = np.asarray(prior, dtype=np.float64)
    if probabilities.ndim != 2 or prior.shape != (probabilities.shape[1],):
        raise ValueError(f"{name} must have one entry a class; got {prior.shape} for {probabilities.shape}")
    if not (np.isfinite(prior).all() and (prior > 0).all()):
        raise ValueError(f"{name} must be positive and finite; got {prior.tolist()}")
    return prior / prior.sum()


def reliability(forecast: np.ndarray, happened: np.ndarray, bins: int = RELIABILITY_BINS) -> list[dict]:
    """Compare forecast probabilities with what happened, in bins of equal numbers of rows.

    Equal-mass bins, because a good model's confidences crowd at one end and leave equal-width bins empty.
    Equal forecasts stay in one bin, so the result does not depend on the order of rows and there may be fewer
    than `bins`.

    Parameters
    ----------
    forecast
        (N,) in [0, 1].
    happened
        (N,) bool.

    Returns
    -------
    list of dict
        n, low and high (the bin's extreme forecasts), forecast (mean), observed (share that happened).
    """
    order = np.argsort(forecast, kind="stable")
    rising = np.asarray(forecast, dtype=np.float64)[order]
    outcome = np.asarray(happened, dtype=np.float64)[order]
    cuts = np.linspace(0, len(rising), bins + 1).round().astype(int)[1:]
    ends = np.unique(np.searchsorted(rising, rising[np.maximum(cuts, 1) - 1], side="right"))
    starts = np.concatenate(([0], ends[:-1]))
    return [
        {
            "n": int(end - start),
            "low": float(rising[start]),
            "high": float(rising[end - 1]),
            "forecast": float(rising[start:end].mean()),
            "observed": float(outcome[start:end].mean()),
        }
        for start, end in zip(starts, ends, strict=True)
    ]


def expected_calibration_error(table: list[dict]) -> float:
    """Return the mean distance of forecast and observed share over a `reliability` table (Naeini 2015).

    The table's bins hold about as many rows each, so this is the equal-mass ECE.
    """
    total = sum(row["n"] for row in table)
    return sum(row["n"] * abs(row["forecast"] - row["observed"]) for row in table) / total


def calibration_metrics(labels: np.ndarray, probabilities: np.ndarray, *, benign_index: int) -> dict:
    """Measure how far probabilities are from what happens.

    Parameters
    ----------
    labels
        (N,) integers 0…K−1, N >= 1.
    probabilities
        (N, K).

    Returns
    -------
    dict
        log_loss (nats), brier (multi-class, sum over classes, 0…2), ece (of the predicted class's
        probability), ece_malicious (of 1 − P(benign)), and `reliability` and `reliability_malicious`,
        the tables behind the two.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    rows = np.arange(len(labels))
    truth = probabilities[rows, labels]
    squares = (probabilities**2).sum(axis=1) - 2 * truth + 1  # Σ (p − onehot)² without the one-hot matrix
    predicted = probabilities.argmax(axis=1)
    confidence = reliability(probabilities[rows, predicted], predicted == labels)
    malicious = reliability(1.0 - probabilities[:, benign_index], labels != benign_index)
    return {
        "log_loss": float(-np.log(np.maximum(truth, PROBABILITY_FLOOR)).mean()),
        "brier": float(squares.mean()),
        "ece": expected_calibration_error(confidence),
        "ece_malicious": expected_calibration_error(malicious),
        "reliability": confidence,
        "reliability_malicious": malicious,
    }
