"""Trains the network as most write it in PyTorch: python benchmarks/train_plain_pytorch.py JOB.

`nn.Conv1d`, `nn.LSTM(bidirectional=True)`, every name padded to the maximum, no masks.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.same_layers import (
    ADAM_EPSILON,
    ATTENTION_UNITS,
    CONV_FILTERS,
    EMBEDDING_DIM,
    KERNEL_SIZE,
    LEARNING_RATE,
    LSTM_UNITS,
    Job,
    Stopwatch,
)


class PlainModel(nn.Module):
    """Codes (B, 64) → logits (B, K)."""

    def __init__(self, num_codes: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_codes, EMBEDDING_DIM)
        self.conv1 = nn.Conv1d(EMBEDDING_DIM, CONV_FILTERS[0], KERNEL_SIZE, padding="same")
        self.conv2 = nn.Conv1d(CONV_FILTERS[0], CONV_FILTERS[1], KERNEL_SIZE, padding="same")
        self.lstm = nn.LSTM(CONV_FILTERS[1], LSTM_UNITS, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(2 * LSTM_UNITS, ATTENTION_UNITS)
        self.score = nn.Linear(ATTENTION_UNITS, 1, bias=False)
        self.classifier = nn.Linear(2 * LSTM_UNITS, num_classes)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits."""
        x = self.embedding(codes).transpose(1, 2)  # (B, E, T)
        x = F.relu(self.conv2(F.relu(self.conv1(x))))  # (B, C, T)
        hidden, _ = self.lstm(x.transpose(1, 2))  # (B, T, 2H)
        weights = self.score(torch.tanh(self.projection(hidden))).softmax(dim=1)  # (B, T, 1)
        return self.classifier((weights * hidden).sum(dim=1))

    def start_from(self, job: Job) -> "PlainModel":
        """Take the weights of the job."""
        given = job.weights
        state = {
            "embedding.weight": given["embedding.weight"],
            "conv1.weight": job.convolution(0).transpose(2, 1, 0),  # (C_out, C_in, K)
            "conv2.weight": job.convolution(1).transpose(2, 1, 0),
            "conv1.bias": given["convolutions.0.linear.bias"],
            "conv2.bias": given["convolutions.1.linear.bias"],
            "projection.weight": given["attention.projection.weight"],
            "projection.bias": given["attention.projection.bias"],
            "score.weight": given["attention.score.weight"],
            "classifier.weight": given["classifier.weight"],
            "classifier.bias": given["classifier.bias"],
        }
        for part in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            state[f"lstm.{part}"] = given[f"lstm.forward_lstm.{part}"]
            state[f"lstm.{part}_reverse"] = given[f"lstm.backward_lstm.{part}"]
        self.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
        return self


def main() -> int:
    """Train and print the figures."""
    job = Job(Path(sys.argv[1]))
    model = PlainModel(job.num_codes, job.num_classes).start_from(job).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=ADAM_EPSILON)
    codes, labels = torch.from_numpy(job.codes).long(), torch.from_numpy(job.labels)
    stopwatch, losses = Stopwatch(), []
    for start in range(0, len(labels), job.batch_size):
        rows = slice(start, start + job.batch_size)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(codes[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        stopwatch.note()
    stopwatch.report(job.batch_size, [loss.item() for loss in losses])
    return 0


if __name__ == "__main__":
    sys.exit(main())
