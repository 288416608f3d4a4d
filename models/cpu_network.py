"""The network's logits for prediction on a CPU, in half of the time: `CNN_LSTM_Model.forward`, laid out anew.

The same weights give the same logits (tests/test_cpu_network.py: within 1e-5). What makes it faster:

- Names lie side by side in memory, (T, …, B). A place and its neighbours are then one block, which the
  convolution multiplies without copying windows, and every other step runs over long rows.
- The embedding is multiplied into the first convolution beforehand: what is left is a sum of table rows.
- Masks touch only the places where the names of a batch differ in length.
- Both directions of the LSTM take their steps together. The backward one begins on padding, but its state is
  set to zero there, so nothing has to be mirrored.
- tanh(x) = 2 σ(2x) − 1, a third of the time, and the factors are multiplied into the weights.

Training and exports use the plain network: it is written for reading, for gradients and for any device.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.feature_engineering import PADDING
from models.cnn_lstm_model import AttentionLayer, BidirectionalLSTM, CNN_LSTM_Model, MaskedConv1d
from models.packed_evidence import BYTES_OF_WORD, PackedEvidence


def for_cpu(model: nn.Module) -> nn.Module:
    """Return what computes the logits of `model` on a CPU: a `CpuNetwork` where that can, else `model`.

    A `CpuNetwork` keeps the weights as they are now.
    """
    is_known = type(model) is CNN_LSTM_Model and model.ngrams is None
    if not is_known or (model.evidence is not None and model.evidence.sums > BYTES_OF_WORD):
        return model
    return CpuNetwork(model)


class CpuNetwork(nn.Module):
    """Codes (B, T) of names to logits (B, K); without gradients."""

    @torch.no_grad()
    def __init__(self, model: CNN_LSTM_Model) -> None:
        super().__init__()
        self.evidence = None if model.evidence is None else PackedEvidence(model.evidence)
        self.input = _InputConvolution(model, self.evidence)
        self.convolutions = [_Convolution(convolution) for convolution in model.convolutions[1:]]
        self.pool_size = model.pool_size
        self.lstm = _Lstm(model.lstm)
        self.attention = _Attention(model.attention)
        self.max_pooling = model.max_pooling
        self.layers = [(layer.weight, layer.bias.unsqueeze(1)) for layer in (*model.dense, model.classifier)]
        weight, bias = self.layers[0]
        factors = torch.ones(weight.size(1))
        factors[: 2 * model.lstm.forward_lstm.hidden_size * (1 + model.max_pooling)] = 2  # see `_Lstm`
        self.layers[0] = weight * factors, bias

    @torch.no_grad()
    def forward(self, codes: Tensor) -> Tensor:
        lengths = (codes != PADDING).sum(dim=1)  # (B,)
        codes = codes.t().long()  # (T, B)
        inputs = []
        channels = None
        if self.evidence is not None:
            channels, sums = self.evidence.channels(codes, lengths, self.input.before, self.input.after)
            inputs.append(sums)
        inside = _Inside(lengths, len(codes))
        x = self.input(codes, channels)  # (T, B, C)
        for convolution in self.convolutions:
            x = convolution(inside.zero_outside(x.relu_()))
        x = self._pool(inside.zero_outside(x)).relu_()  # (S, B, C)
        # A name without a character has one step all the same.
        inside = _Inside((lengths + self.pool_size - 1).div_(self.pool_size, rounding_mode="floor"), len(x))
        hidden = self.lstm(x, inside)  # (S, 2H, B), half of what it is
        context = [self.attention(hidden, inside)]  # (2H, B)
        if self.max_pooling:
            context.append(inside.fill_outside(hidden).amax(dim=0) * (lengths > 0))
        x = torch.cat([*context, *inputs])
        for weight, bias in self.layers[:-1]:
            x = torch.addmm(bias, weight, x).relu_()
        weight, bias = self.layers[-1]
        return torch.addmm(bias, weight, x).t()

    def _pool(self, x: Tensor) -> Tensor:
        """Keep the maximum of each `pool_size` steps of `x` (T, B, C); the last group may be shorter."""
        T, size = len(x), self.pool_size
        if size == 1:
            return x
        whole = T // size
        pooled = x.new_empty(-(-T // size), *x.shape[1:])
        torch.amax(x[: whole * size].unflatten(0, (whole, size)), dim=1, out=pooled[:whole])
        if whole < len(pooled):
            torch.amax(x[whole * size :], dim=0, out=pooled[whole])
        return pooled


class _Inside:
    """Which places of a batch belong to names: only those from the shortest name's end on are looked at.

    Attributes
    ----------
    start, mask
        The length of the shortest name, at least 1, and (T − start, B): which places from there on belong to
        the name.
    """

    def __init__(self, lengths: Tensor, places: int) -> None:
        self.start = max(int(lengths.min()), 1)
        self.mask = torch.arange(self.start, places).unsqueeze(1) < lengths

    def zero_outside(self, x: Tensor) -> Tensor:
        """Set `x` (T, B, C) to zero outside of the names, in place, and return it."""
        x[self.start :] *= self.mask.unsqueeze(2)
        return x

    def fill_outside(self, x: Tensor) -> Tensor:
        """Set `x` (T, B) or (T, C, B) to the lowest number outside of the names, in place, and return it."""
        mask = self.mask if x.dim() == 2 else self.mask.unsqueeze(1)
        x[self.start :].masked_fill_(~mask, torch.finfo(x.dtype).min)
        return x


class _InputConvolution:
    """Embedding and first convolution in one, before its ReLU."""

    def __init__(self, model: CNN_LSTM_Model, evidence: PackedEvidence | None) -> None:
        convolution, embedding = model.convolutions[0], model.embedding
        self.kernel_size = K = convolution.kernel_size
        tables = convolution.tables(embedding.weight)  # (K, V, C)
        tables[0] += convolution.linear.bias
        self.num_codes, self.table = embedding.num_embeddings, tables.flatten(0, 1)
        self.before, self.after = max((K - 1) // 2, 1), max(K // 2, 1)
        if evidence is not None:
            channels = convolution.channel_weight(embedding.embedding_dim)  # (C, K, n · classes)
            channels = channels.unflatten(2, (evidence.longest, -1)) * evidence.scale
            self.weight = channels.permute(1, 3, 2, 0).flatten(0, 2)  # (K · classes · n, C)

    def __call__(self, codes: Tensor, channels: Tensor | None) -> Tensor:
        """Return (T, B, C) of codes (T, B) int64 and what `PackedEvidence.channels` gives."""
        (T, B), K = codes.shape, self.kernel_size
        padded = F.pad(codes, (0, 0, (K - 1) // 2, K // 2))
        rows = torch.stack([padded[k : k + T] + k * self.num_codes for k in range(K)], dim=2)  # (T, B, K)
        x = F.embedding_bag(rows.view(T * B, K), self.table, mode="sum").view(T, B, -1)
        if channels is None:
            return x
        places = channels[self.before - (K - 1) // 2 :].flatten(1, 2)  # (…, classes · n, B)
        step = places.stride(0)
        # K neighbouring places are one block; the blocks overlap, and nothing is copied.
        windows = places.as_strided((T, K * places.size(1), B), (step, B, 1))
        return x.baddbmm_(windows.transpose(1, 2), self.weight.expand(T, -1, -1))


class _Convolution:
    """`MaskedConv1d` over (T, B, C), before its ReLU."""

    def __init__(self, convolution: MaskedConv1d) -> None:
        self.kernel_size = convolution.kernel_size
        weight = convolution.linear.weight.unflatten(1, (self.kernel_size, -1))  # (C_out, K, C_in)
        self.weights = weight.permute(1, 2, 0).contiguous()
        self.bias = convolution.linear.bias

    def __call__(self, x: Tensor) -> Tensor:
        (T, B, _), K = x.shape, self.kernel_size
        padded = F.pad(x, (0, 0, 0, 0, (K - 1) // 2, K // 2))
        out = torch.addmm(self.bias, padded[:T].flatten(0, 1), self.weights[0])
        for k in range(1, K):
            out.addmm_(padded[k : k + T].flatten(0, 1), self.weights[k])
        return out.view(T, B, -1)


class _Lstm:
    """`BidirectionalLSTM` over (S, B, C); gives half of each number, for which later weights make up.

    With C = 2c and h' = h / 2, all four gates need only σ: tanh(g) = 2 (σ(2g) − ½) makes
    C ← σ(f) · C + 4 σ(i) (σ(2g) − ½) and h' = σ(o) (σ(C) − ½).
    """

    def __init__(self, lstm: BidirectionalLSTM) -> None:
        self.hidden_size = H = lstm.forward_lstm.hidden_size
        factors = torch.ones(4 * H, 1)
        factors[2 * H : 3 * H] = 2  # PyTorch's order is input, forget, cell, output
        directions = (lstm.forward_lstm, lstm.backward_lstm)
        self.input_weights = [d.weight_ih_l0 * factors for d in directions]
        self.biases = [(d.bias_ih_l0 + d.bias_hh_l0).unsqueeze(1) * factors for d in directions]
        self.weights = torch.stack([d.weight_hh_l0 * factors * 2 for d in directions])  # (2, 4H, H)

    def __call__(self, x: Tensor, inside: _Inside) -> Tensor:
        """Return (S, 2H, B); outside of the names it is arbitrary."""
        S, B, _ = x.shape
        gates = x.new_empty(S, 2, 4 * self.hidden_size, B)
        columns = x.transpose(1, 2)  # (S, C, B)
        for direction, steps in enumerate((columns, columns.flip(0))):
            weight = self.input_weights[direction].expand(S, -1, -1)
            torch.baddbmm(self.biases[direction], weight, steps, out=gates[:, direction])
        hidden = x.new_empty(S, 2, self.hidden_size, B)
        h = c = None
        for step, z in enumerate(gates):  # (2, 4H, B)
            if h is not None:
                z.baddbmm_(self.weights, h)
            i, f, g, o = z.sigmoid_().chunk(4, dim=1)
            g.sub_(0.5).mul_(i)
            c = g * 4 if c is None else f.mul_(c).add_(g, alpha=4)
            h = c.sigmoid().sub_(0.5).mul_(o)
            back = S - 1 - step  # where the backward direction stands
            if back >= inside.start:
                c[1] *= inside.mask[back - inside.start]
                h[1] *= inside.mask[back - inside.start]
            hidden[step, 0], hidden[back, 1] = h[0], h[1]
        return hidden.flatten(1, 2)


class _Attention:
    """`AttentionLayer` over half of the hidden states, (S, D, B)."""

    def __init__(self, attention: AttentionLayer) -> None:
        # tanh(x) = 2 σ(2x) − 1: the 1 adds the same to every score, and the softmax takes it out again.
        self.weight, self.bias = attention.projection.weight * 4, attention.projection.bias.unsqueeze(1) * 2
        self.score = attention.score.weight * 2  # (1, A)

    def __call__(self, hidden: Tensor, inside: _Inside) -> Tensor:
        """Return (D, B)."""
        units = torch.baddbmm(self.bias, self.weight.expand(len(hidden), -1, -1), hidden).sigmoid_()
        scores = inside.fill_outside(torch.matmul(self.score, units).squeeze(1))  # (S, B)
        return (hidden * scores.softmax(dim=0).unsqueeze(1)).sum(dim=0)
