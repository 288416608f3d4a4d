"""What a model says of labelled names: the input of every report.

Wiring, like `models/training_run.py`: it goes through the classifier that prediction uses, so a report
speaks of the very probabilities that predict.py gives.
"""

from data.labelled_domains import LabelledDomains
from data.slices import slice_masks
from models.base_classifier import BaseClassifier, probabilities_from_logits
from utils.run_report import PartScores


def score_names(classifier: BaseClassifier, names: LabelledDomains) -> PartScores:
    """Run the classifier over labelled names."""
    logits = classifier.logits(names.domains)
    return PartScores(
        domains=names.domains,
        labels=names.labels,
        groups=names.groups,
        families=names.family_names(),
        slices=slice_masks(names.domains),
        probabilities=probabilities_from_logits(logits, classifier.signature.temperature),
        uncalibrated=probabilities_from_logits(logits),
    )
