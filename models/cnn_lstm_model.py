"""The network: character codes in, logits out. Tensors only; nothing here knows a file, a name or a class.

    codes (B, T) → embedding (B, T, E), beside it what each n-gram says (B, T, n · K)
                 → convolutions (B, T, C) → max-pooling over time (B, S, C)
                 → bidirectional LSTM (B, S, 2H) → additive attention (B, 2H) → dense layers → logits (B, K)

Padding never changes a logit. Each convolution sees zeros beyond a name's end whatever the batch's length
is, the backward LSTM starts on the name's last character and not on padding, and attention gives padding
the weight zero. So batches may be padded to their longest row only, in training and in prediction.
"""

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from data.feature_engineering import PADDING
from models.ngram_evidence import NgramEvidence
from utils.config import Config, ModelConfig, as_config


class MaskedConv1d(nn.Module):
    """A convolution over time that keeps the length; input and output are 0 where `mask` is 0.

    Written as one matrix product over the shifted copies of the input: on a CPU that trains and predicts
    up to twice as fast as `nn.Conv1d`, which wants (B, C, T) and transposes on both sides.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.linear = nn.Linear(kernel_size * in_channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Turn `x` (B, T, C_in) into (B, T, C_out); both are 0 where `mask` (B, T, 1) is 0."""
        windows = torch.cat(_neighbours(x, self.kernel_size), dim=2)  # (B, T, K · C_in)
        return F.relu(self.linear(windows)) * mask


class CharacterConv1d(MaskedConv1d):
    """A `MaskedConv1d` over embedded characters and, beside them, further channels.

    A code adds the same to its neighbours wherever it stands. So each of the few codes' vectors is multiplied
    with the kernel once, instead of at every place: what is left is a look-up and a sum.
    """

    def tables(self, embedding: Tensor) -> Tensor:
        """Return what each code adds at each of K offsets, (K, V, C_out), given the codes' vectors (V, E)."""
        return torch.einsum("ve,cke->kvc", embedding, self._weight()[..., : embedding.size(1)])

    def channel_weight(self, embedding_dim: int) -> Tensor:
        """Return the kernel of the further channels, (C_out, K, C_in − E)."""
        return self._weight()[..., embedding_dim:]

    def forward(self, codes: Tensor, embedding: Tensor, channels: Tensor | None, mask: Tensor) -> Tensor:
        """Turn `codes` (B, T) int into (B, T, C_out), 0 where `mask` (B, T, 1) is 0.

        Parameters
        ----------
        embedding
            (V, E), zero for padding.
        channels
            (B, T, C_in − E), zero on padding, or None.
        """
        if codes.device.type != "cpu":
            return self._multiply(codes, embedding, channels, mask)
        K, T = self.kernel_size, codes.size(1)
        with _float32("cpu"):  # the gradient of a code is the sum over thousands of places
            padded = F.pad(codes, ((K - 1) // 2, K // 2), value=PADDING)
            tables = self.tables(embedding)
            x = F.embedding(padded[:, :T], tables[0], padding_idx=PADDING) + self.linear.bias
            for k in range(1, K):
                x += F.embedding(padded[:, k : k + T], tables[k], padding_idx=PADDING)
        if channels is not None:
            windows = torch.cat(_neighbours(channels, K), dim=2)
            x += F.linear(windows, self.channel_weight(embedding.size(1)).flatten(1))
        return F.relu(x).to(mask.dtype) * mask

    def _multiply(self, codes: Tensor, embedding: Tensor, channels: Tensor | None, mask: Tensor) -> Tensor:
        """Return the same without looking up: for GPUs, on which look-ups were never timed."""
        x = F.embedding(codes, embedding, padding_idx=PADDING).to(mask.dtype)
        return super().forward(x if channels is None else torch.cat([x, channels], dim=2), mask)

    def _weight(self) -> Tensor:
        return self.linear.weight.unflatten(1, (self.kernel_size, -1))  # (C_out, K, C_in)


def _float32(device_type: str) -> AbstractContextManager:
    """Compute in float32 where autocast would not. Without autocast no context, for exports would hold it."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def _neighbours(x: Tensor, K: int) -> list[Tensor]:
    """Return what stands at each of K places around every place of `x` (B, T, C), zeros beyond its ends."""
    T, before, after = x.size(1), (K - 1) // 2, K // 2
    if torch.is_grad_enabled() and T >= K:
        # A negative width cuts: its gradient takes a fraction of the time that the gradient of a slice does.
        return [F.pad(x, (0, 0, -shift, shift)) if shift else x for shift in range(-before, after + 1)]
    padded = F.pad(x, (0, 0, before, after))
    return [padded[:, k : k + T] for k in range(K)]


class Dropout(nn.Module):
    """`nn.Dropout` that can draw from a generator of its own, for threads that train side by side.

    Attributes
    ----------
    p
        The share of the numbers that become zero in training.
    generator
        None stands for PyTorch's own, that of the device.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Hide numbers of `x` in training, and make the others larger, so that the sum stays as expected."""
        return self.keep(x, 1 / (1 - self.p))

    def keep(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """Hide numbers of `x` in training, and multiply the others with `scale`."""
        if not self.training or self.p == 0:
            return x
        return x * torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator).mul_(scale)


class NgramEmbedding(nn.Module):
    """A vector for each of the last n characters, for several n: what a name reminds of.

    The n-grams share a table of `ngram_buckets` rows through a universal hash (Carter, Wegman 1979), as the
    subwords of fastText do (Bojanowski et al. 2017, arXiv:1607.04606). It gives the network the memory for
    brands and campaigns that makes linear n-gram models strong, at the price of a table look-up. Since such
    a memory is soon learned by heart, training hides a share `ngram_dropout` of the positions.
    """

    _PRIME = 2**31 - 1

    def __init__(self, input_dim: int, sizes: ModelConfig) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.sizes = sizes.ngram_sizes
        self.buckets = sizes.ngram_buckets
        self.dropout = Dropout(sizes.ngram_dropout)
        self.output_size = len(self.sizes) * sizes.ngram_dim
        self.tables = nn.ModuleList(nn.Embedding(self.buckets, sizes.ngram_dim) for _ in self.sizes)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, codes: Tensor, mask: Tensor) -> Tensor:
        """Turn `codes` (B, T) int64 into vectors (B, T, len(sizes) · dim), 0 where `mask` (B, T, 1) is 0."""
        vectors = [table(self.bucket(codes, n)) for n, table in zip(self.sizes, self.tables, strict=True)]
        return torch.cat(vectors, dim=2) * self.dropout.keep(mask)

    def bucket(self, codes: Tensor, n: int) -> Tensor:
        """Return the table row (B, T) of the n characters that end at each position."""
        T = codes.size(1)
        padded = F.pad(codes, (n - 1, 0))
        gram = torch.zeros_like(codes)
        for k in range(n):
            gram = gram * self.input_dim + padded[:, k : k + T]
        multiplier = 402_653_189 + 8 * n  # with grams below 41⁶ the product stays below 2⁶³
        return (gram % self._PRIME * multiplier + 97 * n) % self._PRIME % self.buckets


class _TakeRows(torch.autograd.Function):
    """`index_select` of all rows in another order: so are their gradients, and nothing is added up."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """Return the rows of `x` (N, C) at `order` (N,), where order[inverse] = 0 … N − 1."""
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of `x`."""
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class BidirectionalLSTM(nn.Module):
    """Two LSTMs, one over each direction, where both meet the padding last.

    The backward one reads each row reversed within its own length. `pack_padded_sequence` has the same
    effect, but cannot be exported. Rows lie step by step here, as the LSTMs want them.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(input_size, hidden_size)
        self.backward_lstm = nn.LSTM(input_size, hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Turn `x` (B, T, C), rows `lengths` (B,) long, into (B, T, 2H); beyond the end it is arbitrary."""
        B, T, _ = x.shape
        row = torch.arange(B, device=x.device)
        position = torch.arange(T, device=x.device)
        mirrored = lengths - 1 - position.unsqueeze(1)  # (T, B), negative beyond the end
        mirrored = torch.where(mirrored >= 0, mirrored, position.unsqueeze(1))
        # Whole rows of a matrix: on a CPU, `gather` of single numbers takes ten times as long.
        there = (row * T + mirrored).flatten()  # (T · B,) rows of (B · T, C)
        back = (mirrored * B + row).t().flatten()  # (B · T,) rows of (T · B, C)
        onward, _ = self.forward_lstm(x.transpose(0, 1))
        backward, _ = self.backward_lstm(_take(x.flatten(0, 1), there, back).view(T, B, -1))
        backward = _take(backward.flatten(0, 1), back, there).view(B, T, -1)
        return torch.cat([onward.transpose(0, 1), backward], dim=2)


def _take(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Return all rows of `x` (N, C) in another order."""
    if torch.is_grad_enabled():
        return _TakeRows.apply(x, order, inverse)
    return x.index_select(0, order)


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
        self.embedding = nn.Embedding(input_dim, sizes.embedding_dim, padding_idx=PADDING)
        self.ngrams = NgramEmbedding(input_dim, sizes) if sizes.ngram_sizes else None
        self.evidence = NgramEvidence(num_classes, sizes) if sizes.evidence_ngrams else None
        inputs = sizes.embedding_dim + (self.ngrams.output_size if self.ngrams else 0)
        inputs += self.evidence.channels if self.evidence else 0
        channels = [inputs, *sizes.conv_filters]
        kinds = [CharacterConv1d] + [MaskedConv1d] * (len(sizes.conv_filters) - 1)
        self.convolutions = nn.ModuleList(
            kind(c_in, c_out, sizes.kernel_size)
            for kind, (c_in, c_out) in zip(kinds, pairwise(channels), strict=True)
        )
        self.pool_size = sizes.pool_size
        self.lstm = BidirectionalLSTM(channels[-1], sizes.lstm_units)
        self.attention = AttentionLayer(2 * sizes.lstm_units, sizes.attention_units)
        self.max_pooling = sizes.max_pooling
        pooled = 2 * sizes.lstm_units * (2 if sizes.max_pooling else 1)
        widths = [pooled + (self.evidence.sums if self.evidence else 0), *sizes.dense_units]
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = Dropout(sizes.dropout_rate)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, codes: Tensor, folds: Tensor | None = None) -> Tensor:
        """Return logits (B, K) for `codes` (B, T): integers, padding at the end of each row.

        `folds` (B,) are of training names, where the network has n-gram evidence.
        """
        return self.forward_with_attention(codes, folds)[0]

    def forward_with_attention(self, codes: Tensor, folds: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits (B, K) and the attention weights (B, T) of each character."""
        mask = codes != PADDING  # (B, T)
        dtype = self.embedding.weight.dtype
        if torch.is_autocast_enabled(codes.device.type):  # converted once, not before each product
            dtype = torch.get_autocast_dtype(codes.device.type)
        channel_mask = mask.unsqueeze(2).to(dtype)  # (B, T, 1)
        channels = []  # beside the embedded characters, (B, T, …) each
        if self.ngrams is not None:
            channels.append(self.ngrams(codes.long(), mask.unsqueeze(2).float()))
        if self.evidence is not None:
            evidence, sums = self.evidence(codes, folds)
            channels.append(evidence)
        beside = torch.cat(channels, dim=2).to(dtype) if channels else None
        first, *others = self.convolutions
        x = first(codes.int(), self.embedding.weight, beside, channel_mask)  # (B, T, C)
        for convolution in others:
            x = convolution(x, channel_mask)
        x, pooled_mask = self._pool(x, mask)  # (B, S, C), (B, S) where S = ⌈T / pool_size⌉
        hidden = self.lstm(self.dropout(x), pooled_mask.sum(dim=1))  # (B, S, 2H)
        context, weights = self.attention(hidden, pooled_mask)  # (B, 2H), (B, S)
        if self.max_pooling:
            lowest = torch.finfo(hidden.dtype).min
            highest = hidden.masked_fill(~pooled_mask.unsqueeze(2), lowest).amax(dim=1)  # (B, 2H)
            highest = highest * pooled_mask.any(dim=1, keepdim=True)  # nothing but padding: 0, not the lowest
            context = torch.cat([context, highest], dim=1)
        if self.evidence is not None:
            context = torch.cat([context, sums], dim=1)
        x = self.dropout(context)
        for layer in self.dense:
            x = self.dropout(F.relu(layer(x)))
        return self.classifier(x), self._spread(weights, mask)

    def _pool(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the maximum of each `pool_size` steps; the zeros beyond a name's end never win over ReLUs."""
        if self.pool_size == 1:
            return x, mask
        missing = -x.size(1) % self.pool_size
        x = F.pad(x, (0, 0, 0, missing)).unflatten(1, (-1, self.pool_size)).amax(dim=2)
        return x, F.pad(mask, (0, missing)).unflatten(1, (-1, self.pool_size)).any(dim=2)

    def _spread(self, weights: Tensor, mask: Tensor) -> Tensor:
        """Share the weight of each pooled step (B, S) among the characters behind it (B, T)."""
        if self.pool_size == 1:
            return weights
        missing = -mask.size(1) % self.pool_size
        grouped = F.pad(mask, (0, missing)).unflatten(1, (-1, self.pool_size)).to(weights.dtype)  # (B, S, P)
        shares = grouped / grouped.sum(dim=2, keepdim=True).clamp(min=1)
        return (weights.unsqueeze(2) * shares).flatten(1)[:, : mask.size(1)]

    def draw_from(self, generator: torch.Generator) -> None:
        """Draw the random numbers of training from `generator` instead of PyTorch's own."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    @torch.no_grad()
    def shift_logits(self, offsets: np.ndarray) -> None:
        """Add a constant to each logit for good: `offsets` (K,)."""
        self.classifier.bias += torch.as_tensor(offsets).to(self.classifier.bias)
