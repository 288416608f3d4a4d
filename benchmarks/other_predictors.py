"""Other systems that answer a file of names, for `bench_prediction.py`.

python benchmarks/other_predictors.py SYSTEM NAMES.txt RESULTS.jsonl

Each reads the file, answers in blocks, and writes one JSON line a name. Its speed is that of the second and
later blocks, from the file to the file and of the answers alone: loading, training and the first block do not
count. The systems that learn from names are trained on the embedded sample before: their speed hardly depends
on it.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.measuring import print_peak
from benchmarks.same_layers import MAX_LENGTH
from data.feature_engineering import NUM_CODES, encode_domains

NAMES_AT_ONCE = 4_096
BATCH_SIZE = 256
CLASSES = ("benign", "phishing", "malware")
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"

Answer = Callable[[Sequence[str]], np.ndarray]  # names → probabilities (N, K)


def plain_pytorch() -> Answer:
    """The layers of bench_training.py, eager, every name padded to the maximum, in batches of 256."""
    import torch

    from benchmarks.train_plain_pytorch import PlainModel

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = PlainModel(NUM_CODES, len(CLASSES)).eval()

    @torch.inference_mode()
    def answer(names: Sequence[str]) -> np.ndarray:
        codes = torch.from_numpy(encode_domains(names, MAX_LENGTH)).long()
        return torch.cat([model(batch).softmax(dim=1) for batch in codes.split(BATCH_SIZE)]).numpy()

    return answer


def keras() -> Answer:
    """The same layers in Keras 3 on TensorFlow, with `predict`."""
    from benchmarks.train_keras import build_model, use_threads

    use_threads()
    model = build_model(NUM_CODES, len(CLASSES))

    def answer(names: Sequence[str]) -> np.ndarray:
        codes = encode_domains(names, MAX_LENGTH).astype(np.int32)
        logits = model.predict(codes, batch_size=BATCH_SIZE, verbose=0)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return answer


def linear_model() -> Answer:
    """TF-IDF of character 1–4-grams and logistic regression, as `utils/baseline.py` has them."""
    from utils.baseline import train_baseline

    names, labels = labelled_sample()
    return train_baseline(names, np.array(labels)).predict_proba


def fasttext() -> Answer:
    """Character 1–4-grams in fastText, with its defaults otherwise."""
    import fasttext

    names, labels = labelled_sample()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"__label__{label} {name}\n" for name, label in zip(names, labels, strict=True))
        file.flush()
        model = fasttext.train_supervised(file.name, minn=1, maxn=4, lr=1.0, epoch=25, thread=1, verbose=0)
    # Not `model.predict`: of one name it fails with NumPy 2, of a list it gives the first score for all.
    predict = model.f.predict

    def answer(names: Sequence[str]) -> np.ndarray:
        found = [sorted(predict(f"{name}\n", len(CLASSES), 0.0, "strict"), key=_label) for name in names]
        return np.array([[score for score, _ in row] for row in found])

    return answer


def dgaintel() -> Answer:
    """The CNN-LSTM of dgaintel 2.3, which tells generated names from others."""
    from benchmarks.train_keras import use_threads

    use_threads()
    import keras as keras_package

    # Its file is of Keras 2, whose LSTM had one setting more, always off.
    from_config = keras_package.layers.LSTM.from_config
    keras_package.layers.LSTM.from_config = classmethod(
        lambda cls, config: from_config({k: v for k, v in config.items() if k != "time_major"})
    )
    from dgaintel import get_prob

    def answer(names: Sequence[str]) -> np.ndarray:
        blocks = [names[i : i + BATCH_SIZE] for i in range(0, len(names), BATCH_SIZE)]
        generated = np.concatenate([get_prob(list(block), raw=True, internal=False) for block in blocks])
        return np.stack([1 - generated, generated], axis=1)

    return answer


# name → what makes its answers, and whether the benchmark's own environment is needed for it
SYSTEMS: dict[str, tuple[Callable[[], Answer], bool]] = {
    "plain PyTorch, padded": (plain_pytorch, False),
    "scikit-learn TF-IDF + LR": (linear_model, False),
    "Keras, padded": (keras, True),
    "dgaintel": (dgaintel, True),
    "fastText": (fasttext, True),
}


def _label(pair: tuple[float, str]) -> str:
    return pair[1]


def labelled_sample() -> tuple[list[str], list[int]]:
    """Return the names of the embedded sample and their labels."""
    names, labels = [], []
    for label, name in enumerate(CLASSES):
        records = json.loads((SAMPLE / f"{name}.json").read_text(encoding="utf-8"))
        names += [record["domain_name"] for record in records]
        labels += [label] * len(records)
    return names, labels


def blocks_of(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a file in blocks."""
    with path.open(encoding="utf-8") as file:
        while block := [line.rstrip("\n") for line in islice(file, NAMES_AT_ONCE)]:
            yield block


def main() -> int:
    """Answer the file; print the speed and the peak memory."""
    system, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answer = SYSTEMS[system][0]()
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with target.open("w", encoding="utf-8") as output:
        count, start_s, start_cpu_s, answer_s = 0, 0.0, 0.0, 0.0
        for number, block in enumerate(blocks_of(source)):
            asked_s = time.perf_counter()
            probabilities = answer(block)
            answer_s += time.perf_counter() - asked_s
            rows = probabilities.astype(float).round(6).tolist()
            output.writelines(
                encode({"domain": name, "probabilities": row}) + "\n"
                for name, row in zip(block, rows, strict=True)
            )
            count += len(block)
            if number == 0:
                count, start_s, start_cpu_s, answer_s = 0, time.perf_counter(), time.process_time(), 0.0
        output.flush()
    if not count:
        raise ValueError(f"{source} must hold more than {NAMES_AT_ONCE} names")
    seconds = {
        "names_per_s": time.perf_counter() - start_s,
        "names_per_cpu_s": time.process_time() - start_cpu_s,
        "answers_per_s": answer_s,
    }
    print(json.dumps({unit: count / taken_s for unit, taken_s in seconds.items()}))
    print_peak()
    return 0


if __name__ == "__main__":
    sys.exit(main())
