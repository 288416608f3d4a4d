"""The network: character codes in, logits out. Tensors only; nothing here knows a file, a name or a class.

    codes (B, T) → embedding (B, T, E) → convolutions (B, T, C) → bidirectional LSTM (B, T, 2H)
                 → additive attention (B, 2H) → dense layers → logits (B, K)

Padding never changes a logit. Each convolution sees zeros beyond a name's end whatever the batch's length
is, the backward LSTM starts on the name's last character and not on padding, and attention gives padding
the weight zero. So batches may be padded to their longest row only, in training and in prediction.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.feature_engineering import PADDING
from utils.config import Config, as_config


class MaskedConv1d(nn.Module):
    """A convolution over time that keeps the length; input and output are zero where `mask` is.

    Written as one matrix product over the shifted copies of the input: on a CPU that trains and predicts
    up to twice as fast as `nn.Conv1d`, which wants (B, C, T) and transposes on both sides.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.linear = nn.Linear(kernel_size * in_channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Turn `x` (B, T, C_in), zero where `mask` (B, T, 1) is, into (B, T, C_out), zero there too."""
        T, K = x.size(1), self.kernel_size
        padded = F.pad(x, (0, 0, (K - 1) // 2, K // 2))  # (B, T + K - 1, C_in)
        windows = torch.cat([padded[:, k : k + T] for k in range(K)], dim=2)  # (B, T, K · C_in)
        return F.relu(self.linear(windows)) * mask


class BidirectionalLSTM(nn.Module):
    """Two LSTMs, one over each direction, where both meet the padding last.

    The backward one reads each row reversed within its own length. `pack_padded_sequence` has the same
    effect, but cannot be exported.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Turn `x` (B, T, C), rows `lengths` (B,) long, into (B, T, 2H); beyond the end it is arbitrary."""
        position = torch.arange(x.size(1), device=x.device)  # (T,)
        mirrored = lengths.unsqueeze(1) - 1 - position  # (B, T), negative beyond the end
        mirrored = torch.where(mirrored >= 0, mirrored, position).unsqueeze(2)  # (B, T, 1)
        onward, _ = self.forward_lstm(x)
        backward, _ = self.backward_lstm(x.gather(1, mirrored.expand(-1, -1, x.size(2))))
        backward = backward.gather(1, mirrored.expand(-1, -1, backward.size(2)))
        return torch.cat([onward, backward], dim=2)


class AttentionLayer(nn.Module):
    """Additive attention: a sequence to one vector (Bahdanau, Cho, Bengio 2015, arXiv:1409.0473)."""

    def __init__(self, input_size: int, attention_units: int) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, attention_units)
        self.score = nn.Linear(attention_units, 1, bias=False)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool `hidden` (B, T, D) over the true positions of `mask` (B, T).

        Returns
        -------
        context : Tensor (B, D)
        weights : Tensor (B, T), each row sums to 1 and is 0 on padding
        """
        scores = self.score(torch.tanh(self.projection(hidden))).squeeze(2)  # (B, T)
        # The lowest finite number, not -inf: a row of nothing but padding must not become NaN.
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=1)
        return torch.bmm(weights.unsqueeze(1), hidden).squeeze(1), weights


class CNN_LSTM_Model(nn.Module):
    """Character CNN, bidirectional LSTM and additive attention.

    Parameters
    ----------
    input_dim
        Number of character codes, padding included (`data.feature_engineering.NUM_CODES`).
    num_classes
        Number of logits, K.
    config
        A `Config`, or a mapping with the sections of the YAML file; `model` gives the sizes.
    """

    def __init__(self, input_dim: int, num_classes: int, config: Config) -> None:
        super().__init__()
        sizes = as_config(config).model
        channels = [sizes.embedding_dim, *sizes.conv_filters]
        self.embedding = nn.Embedding(input_dim, sizes.embedding_dim, padding_idx=PADDING)
        self.convolutions = nn.ModuleList(
            MaskedConv1d(c_in, c_out, sizes.kernel_size) for c_in, c_out in pairwise(channels)
        )
        self.lstm = BidirectionalLSTM(channels[-1], sizes.lstm_units)
        self.attention = AttentionLayer(2 * sizes.lstm_units, sizes.attention_units)
        widths = [2 * sizes.lstm_units, *sizes.dense_units]
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(sizes.dropout_rate)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, codes: Tensor) -> Tensor:
        """Return logits (B, K) for `codes` (B, T): integers, padding at the end of each row."""
        return self.forward_with_attention(codes)[0]

    def forward_with_attention(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, K) and the attention weights (B, T) of each character."""
        mask = codes != PADDING  # (B, T)
        lengths = mask.sum(dim=1)  # (B,)
        x = self.embedding(codes.int())  # (B, T, E); the padding row of the table stays zero
        channel_mask = mask.unsqueeze(2).to(x.dtype)  # (B, T, 1)
        for convolution in self.convolutions:
            x = convolution(x, channel_mask)  # (B, T, C)
        hidden = self.lstm(self.dropout(x), lengths)  # (B, T, 2H)
        context, weights = self.attention(hidden, mask)  # (B, 2H), (B, T)
        x = self.dropout(context)
        for layer in self.dense:
            x = self.dropout(F.relu(layer(x)))
        return self.classifier(x), weights

    @torch.no_grad()
    def shift_logits(self, offsets: np.ndarray) -> None:
        """Add a constant to each logit for good: `offsets` (K,)."""
        self.classifier.bias += torch.as_tensor(offsets).to(self.classifier.bias)
