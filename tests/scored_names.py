"""Made-up labels and probabilities that the evaluation's tests share."""

import numpy as np

CLASSES = ("benign", "phishing", "malware")


def scored_names(n, seed=0, *, skill=1.5, decimals=None, shares=(0.6, 0.25, 0.15)):
    """Return labels (n,) and probabilities (n, 3) of a model with some skill; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(len(shares), n, p=shares)
    logits = generator.normal(size=(n, len(shares)))
    logits[np.arange(n), labels] += skill
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = np.round(probabilities, decimals)
        probabilities[:, 0] += 1 - probabilities.sum(axis=1)
        probabilities = np.clip(np.round(probabilities, decimals), 0, 1)
    return labels, probabilities
