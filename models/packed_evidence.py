"""The look-ups of `NgramEvidence` for prediction on a CPU: the same numbers in a fraction of the time.

A row of the table is one 32-bit word instead of K bytes, the hash of every size of n-gram is reduced in one
go, and names lie side by side (places, …, B), so that each step runs over long rows of numbers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.ngram_evidence import END, START, NgramEvidence, evidence_logits, hash_powers

BYTES_OF_WORD = 4  # so many classes at most


class PackedEvidence:
    """What `NgramEvidence` says, not yet multiplied by its scales.

    Attributes
    ----------
    scale
        (K,) what each column of `channels` has to be multiplied by to be that of `NgramEvidence`.
    """

    def __init__(self, evidence: NgramEvidence) -> None:
        self.longest, self.buckets = evidence.longest, evidence.buckets
        self.scale = evidence.scale * evidence.channel_scale
        self.bias = evidence.bias.unsqueeze(1)
        self.powers, self.constants, self.prime = hash_powers(evidence.longest)
        self.words = torch.zeros(self.buckets, dtype=torch.int32)
        for column in evidence.table.unbind(dim=1):
            self.words = (self.words << 8) | (column.int() & 0xFF)

    def channels(self, codes: Tensor, lengths: Tensor, before: int, after: int) -> tuple[Tensor, Tensor]:
        """Return bytes as float32, (before + T + after, K, n, B), zero before and after a name; its logits.

        Parameters
        ----------
        codes, lengths
            (T, B) int64 and (B,), of which none is above T.
        before, after
            Empty places on both sides, at least 1.

        Returns
        -------
        channels
            As `NgramEvidence` gives them, but for `scale`.
        logits
            (K, B) as `NgramEvidence` gives them.
        """
        T, B = codes.shape
        shortest = int(lengths.min())
        place = torch.arange(shortest + 1, T + 2).unsqueeze(1)  # from the first end of a name on
        is_end = place == lengths + 1
        words = self._look_up(codes, is_end, place <= lengths + 1)  # (T + 2, n, B)
        channels = torch.zeros(before + T + after, len(self.scale), self.longest, B)
        marked = channels[before - 1 : before + T + 1]  # (T + 2, K, n, B), with `^` and `$`
        for column in range(len(self.scale)):
            unused = 8 * (BYTES_OF_WORD - len(self.scale) + column)
            marked[:, column] = (words << unused) >> 24  # keeps the sign
        # Squares are summed as whole numbers: below 2²⁴, and so without an error.
        sums = marked.sum(dim=0).sum(dim=1) * self.scale.unsqueeze(1)  # (K, B)
        squares = marked[:, -1].square().sum(dim=(0, 1)) * self.scale[-1].square()
        logits = evidence_logits(sums[:-1].t(), squares, self.bias.t()).t()
        marked[0] = 0
        ending = marked[shortest + 1 :] * is_end.unsqueeze(1).unsqueeze(1)
        marked[shortest:-1] += ending  # what ends in `$` stands at the last character
        marked[shortest + 1 :] -= ending
        return channels, logits

    def _look_up(self, codes: Tensor, is_end: Tensor, is_inside: Tensor) -> Tensor:
        """Return the word of each n-gram, (T + 2, n, B) int32, 0 where there is none."""
        text = F.pad(codes, (0, 0, 1, 1))  # (T + 2, B)
        text[0] = START
        text[-len(is_end) :].masked_fill_(is_end, END)
        hashes = torch.zeros(len(text), self.longest, text.size(1), dtype=torch.int64)
        hashes[:, 0] = text
        for n in range(1, min(self.longest, len(text))):  # of n + 1 characters; sums stay below 2⁴⁰
            torch.add(hashes[n:, n - 1], text[:-n], alpha=self.powers[n], out=hashes[n:, n])
        hashes += self.constants
        rows = hashes.remainder_(self.prime).remainder_(self.buckets)
        words = self.words.index_select(0, rows.flatten()).view_as(rows)
        for n in range(1, self.longest):
            words[:n, n] = 0  # those that would begin before `^`
        words[-len(is_end) :] *= is_inside.unsqueeze(1)
        return words
