"""What several GPUs and a billion names a day would come to: from the shipped model and stated assumptions.

python benchmarks/scaling_on_paper.py                                print the tables
python benchmarks/scaling_on_paper.py --write                        put them into docs/SCALING.md
python benchmarks/scaling_on_paper.py --names-per-s-core 6300 --write

Nothing here is measured but the number of weights and, given by the user, the speed of prediction on a core
(bench_prediction.py). The model of a step: computing, then a ring all-reduce that nothing hides.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.files import write_text
from utils.markdown_table import table

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "models" / "pretrained" / "default.pt"
DOCUMENT = ROOT / "docs" / "SCALING.md"
BEGIN, END = "<!-- scaling_on_paper.py -->", "<!-- end -->"

BYTES_PER_GRADIENT = 4  # float32, also where the network computes in bfloat16
NAMES_PER_S_PER_GPU = 200_000  # training, assumed
NAMES_PER_GPU_AND_STEP = 2_048
NAMES_A_DAY = 1_000_000_000
SECONDS_A_DAY = 86_400
DOLLARS_PER_CORE_HOUR = 0.04  # of a rented machine, assumed


@dataclass(frozen=True, slots=True)
class Link:
    """What connects the GPUs: its slowest part, as a ring sees it. Assumed."""

    name: str
    bytes_per_s: float
    latency_s: float


NVLINK = Link("NVLink, one machine", 200e9, 5e-6)
INFINIBAND = Link("InfiniBand, 200 Gbit/s", 20e9, 10e-6)
ETHERNET = Link("Ethernet, 10 Gbit/s", 1.1e9, 30e-6)
CASES = ((8, NVLINK), (8, ETHERNET), (64, INFINIBAND), (64, ETHERNET))


def ring_bytes(num_weights: int, num_gpus: int) -> float:
    """Return what each process sends in a step: the gradient twice, but for its own part of it."""
    return num_weights * BYTES_PER_GRADIENT * 2 * (num_gpus - 1) / num_gpus


def expected_efficiency(num_weights: int, num_gpus: int, link: Link) -> tuple[float, float]:
    """Return the seconds of an all-reduce, and the share of a step that is computing."""
    compute_s = NAMES_PER_GPU_AND_STEP / NAMES_PER_S_PER_GPU
    exchange_s = ring_bytes(num_weights, num_gpus) / link.bytes_per_s
    exchange_s += 2 * (num_gpus - 1) * link.latency_s
    return exchange_s, compute_s / (compute_s + exchange_s)


def training_table(num_weights: int) -> str:
    """Return the expected efficiency for each case, as Markdown."""
    rows = []
    for num_gpus, link in CASES:
        exchange_s, efficiency = expected_efficiency(num_weights, num_gpus, link)
        speed = efficiency * num_gpus * NAMES_PER_S_PER_GPU
        rows.append(
            [
                str(num_gpus),
                link.name,
                f"{num_gpus * NAMES_PER_GPU_AND_STEP:,}",
                f"{ring_bytes(num_weights, num_gpus) / 1e6:.1f} MB",
                f"{exchange_s * 1e3:.2f} ms",
                f"{efficiency:.0%}",
                f"{speed / 1e6:.1f} million",
            ]
        )
    header = ["GPUs", "connected by", "names a step", "sent by each a step", "takes", "efficiency", "names/s"]
    return table(header, rows)


def cost_table(names_per_s_core: int) -> str:
    """Return what a billion names a day take, as Markdown."""
    names_per_s = NAMES_A_DAY / SECONDS_A_DAY
    cores = names_per_s / names_per_s_core
    rows = [
        ["names a second, day and night", f"{names_per_s:,.0f}"],
        ["names a second on one core", f"{names_per_s_core:,}"],
        ["cores, at full load", f"{cores:.1f}"],
        ["core-hours a day", f"{cores * 24:.0f}"],
        [f"a day, at ${DOLLARS_PER_CORE_HOUR} a core-hour", f"${cores * 24 * DOLLARS_PER_CORE_HOUR:.2f}"],
    ]
    return table(["a billion names a day", ""], rows)


def num_weights_of(path: Path) -> tuple[int, int]:
    """Return how many weights of a checkpoint a step changes, and how many of them are n-gram tables."""
    from models.checkpoint import load_checkpoint

    model = load_checkpoint(path).build_model()
    sizes = {name: weight.numel() for name, weight in model.named_parameters() if weight.requires_grad}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if name.startswith("ngrams."))


def describe(names_per_s_core: int) -> str:
    """Return all that docs/SCALING.md shows of this."""
    num_weights, in_tables = num_weights_of(CHECKPOINT)
    gradient_mb, sent_mb = num_weights * BYTES_PER_GRADIENT / 1e6, ring_bytes(num_weights, 2) / 1e6
    volume = (
        f"Training changes {num_weights:,} weights of the shipped model, {in_tables:,} of them in n-gram "
        f"tables ({in_tables / num_weights:.0%}).\nThe gradient is {gradient_mb:.1f} MB. Of 2 processes each "
        f"sends {sent_mb:.1f} MB a step, of many nearly twice as much."
    )
    if in_tables:
        without_mb = ring_bytes(num_weights - in_tables, 2) / 1e6
        volume += f" Without\nthe tables it would be {without_mb:.1f} MB."
    return "\n\n".join([volume, training_table(num_weights), cost_table(names_per_s_core)])


def written_speed(text: str) -> int | None:
    """Return the speed on one core that a document states."""
    _, found, rest = text.partition("| names a second on one core | ")
    return int(rest.partition(" ")[0].replace(",", "")) if found else None


def main() -> int:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--names-per-s-core", type=int, metavar="N", help="of prediction; default: what the document states"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/SCALING.md")
    options = parser.parse_args()
    document = DOCUMENT.read_text(encoding="utf-8")
    speed = options.names_per_s_core or written_speed(document)
    if not speed:
        parser.error("the document states no speed yet: give --names-per-s-core")
    text = describe(speed)
    if not options.write:
        print(text)
        return 0
    before, found, rest = document.partition(BEGIN)
    if not found:
        parser.error(f"{DOCUMENT.name} has no line {BEGIN}")
    write_text(DOCUMENT, f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
