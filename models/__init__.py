"""The network, its trainer, its checkpoints and the classifier that answers with probabilities."""
