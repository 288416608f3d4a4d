"""How faithful explanations are, and what they cost.

    python benchmarks/bench_explanation.py --names 200

For names of the embedded sample, each method marks characters; those are then hidden (the code for characters
outside the alphabet) and, apart, deleted. Printed is how far the answer moves away from its side, as the
mean log-odds over all names: the further, the more the marked characters mattered. First at a fixed number of
characters, then for the spans of `models.explanation` against others of the same number of characters.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from data.feature_engineering import encode_domains  # noqa: E402
from models.classifier import DomainClassifier  # noqa: E402
from models.explanation import HIDDEN, character_effects, explain, malicious_log_odds  # noqa: E402

SHARES = (0.1, 0.2, 0.3)  # of a name's characters, removed
STEPS = 16  # of the integral
Places = Sequence[Sequence[int]]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", type=int, default=200, help="of each class; default: 200")
    parser.add_argument(
        "--checkpoint", type=Path, default=ROOT / "models" / "pretrained" / "default.pt", metavar="FILE"
    )
    options = parser.parse_args()
    classifier = DomainClassifier.load(options.checkpoint)
    names = sample_names(options.names, classifier.signature.max_length)
    Comparison(classifier, names).run()


def sample_names(count: int, max_length: int) -> list[str]:
    """Return names of each class of the embedded sample that the model sees whole."""
    rng, chosen = np.random.default_rng(0), []
    for part in ("benign", "phishing", "malware"):
        records = json.loads((ROOT / "data" / "sample" / f"{part}.json").read_text("utf-8"))
        fitting = [r["domain_name"] for r in records if len(r["domain_name"]) <= max_length]
        chosen += rng.choice(fitting, min(count, len(fitting)), replace=False).tolist()
    return chosen


def hidden(name: str, places: Sequence[int]) -> str:
    """Return the name with some characters hidden."""
    return "".join(HIDDEN if i in places else c for i, c in enumerate(name))


def deleted(name: str, places: Sequence[int]) -> str:
    """Return the name without some characters."""
    return "".join(c for i, c in enumerate(name) if i not in places) or HIDDEN


class Comparison:
    """Methods that mark characters of the same names."""

    def __init__(self, classifier: DomainClassifier, names: list[str]) -> None:
        self.classifier = classifier
        self.names = names
        self.whole = malicious_log_odds(classifier, names)
        self.side = np.sign(self.whole)
        self.rng = np.random.default_rng(1)

    def run(self) -> None:
        """Print what each method's characters are worth, then the spans against others."""
        print(f"{len(self.names)} names, mean |log-odds| {np.abs(self.whole).mean():.2f}")
        columns = [f"{how} {share:.0%}" for how in ("hidden", "deleted") for share in SHARES]
        print(f"{'characters marked by':<28}" + "".join(f"{c:>13}" for c in columns) + "   ms a name")
        self.row("random", lambda: [self.rng.random(len(name)) for name in self.names])
        self.row("attention", lambda: [self.classifier.attention(name) for name in self.names])
        self.row(f"integrated gradients, {STEPS}", self.integrated_gradients)
        self.row("labels", lambda: self.occlusion([], by_label=True))
        for sizes in ((1,), (2,), (3,), (4,), (5,), (1, 3), (1, 2, 3, 4, 5)):
            text = "+".join(map(str, sizes))
            self.row(f"occlusion of {text}", lambda sizes=sizes: self.occlusion(sizes))
        self.spans()

    def row(self, title: str, method: Callable[[], list[np.ndarray]]) -> None:
        """Print how far the answer moves when the characters with the highest values are removed."""
        started = time.process_time()
        values = method()
        cost_ms = (time.process_time() - started) / len(self.names) * 1000
        orders = [np.argsort(-value, kind="stable").tolist() for value in values]
        drops = []
        for remove in (hidden, deleted):
            for share in SHARES:
                marked = [o[: max(1, round(share * len(o)))] for o in orders]
                drops.append(self.drop(remove, marked))
        print(f"{title:<28}" + "".join(f"{drop:13.2f}" for drop in drops) + f"{cost_ms:12.1f}", flush=True)

    def drop(self, remove: Callable[[str, Sequence[int]], str], marked: Places) -> float:
        """Return how far the answer moves away from its side, in log-odds, on average."""
        variants = [remove(name, places) for name, places in zip(self.names, marked, strict=True)]
        return float(((self.whole - malicious_log_odds(self.classifier, variants)) * self.side).mean())

    def occlusion(self, sizes: Sequence[int], *, by_label: bool = False) -> list[np.ndarray]:
        """Return for each character what hiding windows, or labels, around it takes from the answer."""
        windows = []
        for name in self.names:
            own = [(i, i + n) for n in sizes for i in range(len(name) - n + 1)]
            starts = [0, *(i + 1 for i, c in enumerate(name) if c == ".")]
            ends = [start - 1 for start in starts[1:]] + [len(name)]
            windows.append(list(zip(starts, ends, strict=True)) if by_label else own)
        variants = [hidden(n, range(*w)) for n, own in zip(self.names, windows, strict=True) for w in own]
        after = iter(malicious_log_odds(self.classifier, variants).tolist())
        effects = []
        for name, own, whole, side in zip(self.names, windows, self.whole, self.side, strict=True):
            drops = np.array([(whole - next(after)) * side for _ in own])
            effects.append(character_effects(len(name), own, drops))
        return effects

    def integrated_gradients(self) -> list[np.ndarray]:
        """Return integrated gradients over all embeddings from zero (Sundararajan 2017, arXiv:1703.01365).

        Vectors of hashed n-grams count for the character at which the n-gram ends.
        """
        model = self.classifier.model
        benign = self.classifier.classes.index(self.classifier.signature.benign_class)
        others = [i for i in range(len(self.classifier.classes)) if i != benign]
        steps = ((torch.arange(STEPS) + 0.5) / STEPS).view(-1, 1, 1)
        scaled: list[torch.Tensor] = []

        def scale(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
            scaled.append((output.detach() * steps).requires_grad_())
            return scaled[-1]

        tables = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        hooks = [table.register_forward_hook(scale) for table in tables]
        values = []
        for name, side in zip(self.names, self.side, strict=True):
            scaled.clear()
            codes = torch.from_numpy(encode_domains([name], len(name))).repeat(STEPS, 1)
            logits = model(codes)
            (logits[:, others].logsumexp(dim=1) - logits[:, benign]).sum().backward()
            parts = [(x.grad.mean(dim=0) * x[-1].detach() / steps[-1]).sum(dim=1) for x in scaled]
            values.append((sum(parts) * side).detach().numpy())
        for hook in hooks:
            hook.remove()
        return values

    def spans(self) -> None:
        """Print what the spans that speak for the answer are worth, against as many other characters."""
        started = time.process_time()
        explanations = explain(self.classifier, self.names)
        cost_ms = (time.process_time() - started) / len(self.names) * 1000
        own = [
            [(s.start, s.end) for s in e.spans if s.weight * side > 0]
            for e, side in zip(explanations, self.side, strict=True)
        ]
        marked = [[i for start, end in spans for i in range(start, end)] for spans in own]
        attention = [np.argsort(-self.classifier.attention(name), kind="stable") for name in self.names]
        counted = list(zip(self.names, marked, strict=True))
        rivals = {
            "spans of the explanation": marked,
            "random spans": [self.random_spans(n, s) for n, s in zip(self.names, own, strict=True)],
            "random characters": [
                self.rng.choice(len(n), len(m), replace=False).tolist() for n, m in counted
            ],
            "most attention": [o[: len(m)].tolist() for o, m in zip(attention, marked, strict=True)],
        }
        share = np.mean([len(m) / len(n) for n, m in counted])
        without = np.mean([not spans for spans in own])
        title = f"{share:.0%} of the characters, {without:.0%} of the names without"
        print(f"\n{title:<55}{cost_ms:.1f} ms a name")
        for title, places in rivals.items():
            print(f"{title:<28}{self.drop(hidden, places):13.2f}{self.drop(deleted, places):13.2f}")

    def random_spans(self, name: str, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Return the characters of spans of the same lengths elsewhere."""
        starts = [int(self.rng.integers(len(name) - (end - start) + 1)) for start, end in spans]
        return [i + k for i, (s, e) in zip(starts, spans, strict=True) for k in range(e - s)]


if __name__ == "__main__":
    main()
