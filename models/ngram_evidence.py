"""What each n-gram of a name says by itself, at each of its characters: the network's memory. Tensors only.

A linear model over character n-grams knows the fragments of brands, campaigns and generators, but can only
add them up. Here its weights are channels beside the embedded characters, so that the network sees where
which evidence stands, and weighs it. The weights come from `models/evidence_fit.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.feature_engineering import NUM_CODES, PADDING
from utils.config import ModelConfig

# Two codes more than the alphabet has, `^` before a name and `$` behind it, so that n-grams can say "a label
# of its own", "the top-level domain" and "begins with".
START, END = NUM_CODES, NUM_CODES + 1
_MULTIPLIER = 1_540_483_477
_PRIME = 2**31 - 1
# Brings the channels near a standard deviation of 1: weights of log-odds, and the inverse frequency.
_WEIGHT_SCALE, _FREQUENCY_SCALE, _SUM_SCALE = 0.25, 0.1, 0.3


def ngram_hashes(codes: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Return the hash of each n-gram of 1 … `longest` characters, (B, T + 2, longest) int64 below 2³¹.

    Entry [:, t, n - 1] belongs to the n characters that end at place t of "^name$". The second tensor, bool
    of the same shape, tells where there is such an n-gram. The hash is a polynomial modulo a prime (Karp,
    Rabin 1987): an n-gram's comes from the one without its last character, and no product exceeds 2⁶².
    """
    text, end = F.pad(codes.long(), (1, 1)), (codes != PADDING).sum(dim=1, keepdim=True) + 1
    place = torch.arange(text.size(1), device=codes.device)
    text = torch.where(place == end, END, text)
    text = torch.where(place == 0, START, text)
    hashes = [text]
    for n in range(2, longest + 1):
        hashes.append((F.pad(hashes[-1], (1, 0))[:, :-1] * _MULTIPLIER + text + n) % _PRIME)
    first = torch.arange(longest, device=codes.device)  # where the first n-gram of a size ends
    is_inside = (place <= end).unsqueeze(2)  # (B, T + 2, 1)
    return torch.stack(hashes, dim=2), is_inside & (place.unsqueeze(1) >= first)


def hash_powers(longest: int) -> tuple[list[int], Tensor, int]:
    """Return what gives the hashes of `ngram_hashes` as sums instead of one from the other.

    The hash of c₁ … cₙ is (Σ cᵢ · powers[n − i] + constants[n − 1]) modulo the prime.

    Returns
    -------
    powers, constants, prime
        `longest` whole numbers below 2³¹, (longest, 1) int64, and the modulus.
    """
    powers = [pow(_MULTIPLIER, k, _PRIME) for k in range(longest)]
    constants = [sum(i * powers[n - i] for i in range(2, n + 1)) % _PRIME for n in range(1, longest + 1)]
    return powers, torch.tensor(constants).unsqueeze(1), _PRIME


def evidence_logits(sums: Tensor, squares: Tensor, bias: Tensor) -> Tensor:
    """Return the linear model's logits (B, K), scaled for the dense layers.

    Parameters
    ----------
    sums, squares
        (B, K − 1) of the channels of the classes and (B,) of the squared channels of the frequency.
    bias
        (K,), or (B, K).
    """
    length = squares.clamp(min=1e-8).sqrt() / _FREQUENCY_SCALE  # of the TF-IDF vector, (B,)
    return (F.pad(sums / _WEIGHT_SCALE / length.unsqueeze(1), (1, 0)) + bias) * _SUM_SCALE


class NgramEvidence(nn.Module):
    """Channels for the convolutions, and their sum for the dense layers, from a table of bytes.

    Row h of `table` (buckets, K) belongs to the n-grams whose hash is h (the hashing trick, Weinberger et
    al. 2009, arXiv:0902.2206). Its first K − 1 bytes are what the n-gram adds to the log-odds of the classes
    after the first against the first; the last is its inverse document frequency, 0 for one never seen.

    Attributes
    ----------
    table, scale, bias
        The one that prediction uses, (buckets, K) int8, what its columns are multiplied by (K,), and what
        the linear model adds (K,).
    fold_tables, fold_scales, fold_biases
        The same with a first dimension for folds of the training names; see `models/evidence_fit.py`. Not
        part of a checkpoint; without them, training sees the table of prediction.
    """

    def __init__(self, num_classes: int, sizes: ModelConfig) -> None:
        super().__init__()
        self.longest = sizes.evidence_ngrams
        self.buckets = sizes.evidence_buckets
        self.channels = self.longest * num_classes
        self.sums = num_classes
        self.register_buffer("table", torch.zeros(self.buckets, num_classes, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(num_classes))
        self.register_buffer("bias", torch.zeros(num_classes))
        for name in ("fold_tables", "fold_scales", "fold_biases"):
            self.register_buffer(name, None, persistent=False)
        channel_scale = [_WEIGHT_SCALE] * (num_classes - 1) + [_FREQUENCY_SCALE]
        self.register_buffer("channel_scale", torch.tensor(channel_scale))

    def forward(self, codes: Tensor, folds: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return channels (B, T, n · K), zero on padding, and the linear model's logits (B, K), scaled.

        `folds` (B,) says which of the fold tables each name gets, instead of the table of prediction.
        """
        hashes, present = ngram_hashes(codes, self.longest)  # (B, T + 2, n)
        rows = hashes % self.buckets
        if folds is None or self.fold_tables is None:
            found = self.table.index_select(0, rows.flatten())
            scale, bias = self.scale, self.bias
        else:
            rows = rows + (folds * self.buckets).view(-1, 1, 1)
            found = self.fold_tables.flatten(0, 1).index_select(0, rows.flatten())
            scale, bias = self.fold_scales[folds].unsqueeze(1), self.fold_biases[folds]
        found = found * present.reshape(-1, 1)  # bytes still
        # All sizes of n-gram side by side, so that the innermost loops have n · K steps and not K.
        scale = torch.cat([scale * self.channel_scale] * self.longest, dim=-1)
        evidence = found.view(codes.size(0), -1, self.channels) * scale  # (B, T + 2, n · K)
        sums = evidence.sum(dim=1).unflatten(1, (self.longest, -1)).sum(dim=1)[:, :-1]
        squares = evidence.square().sum(dim=1).unflatten(1, (self.longest, -1)).sum(dim=1)[:, -1]
        logits = evidence_logits(sums, squares, bias)
        # An n-gram stands at its last character; those that end in `$`, at the last of the name.
        mask = codes != PADDING
        last = mask & ~F.pad(mask, (0, 1))[:, 1:]
        channels = evidence[:, 1:-1] * mask.unsqueeze(2) + evidence[:, 2:] * last.unsqueeze(2)
        return channels, logits
