"""Trains the network in Keras 3 on TensorFlow, for `bench_training.py`: train_keras.py JOB [bf16].

As its users do: `fit` on names padded to the maximum, without masks. Runs in the environment of the
benchmark's own requirements, not in the project's.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.same_layers import (
    ADAM_EPSILON,
    ATTENTION_UNITS,
    CONV_FILTERS,
    EMBEDDING_DIM,
    KERNEL_SIZE,
    LEARNING_RATE,
    LSTM_UNITS,
    MAX_LENGTH,
    Job,
    Stopwatch,
)


def use_threads() -> None:
    """Use as many threads as OMP_NUM_THREADS says: TensorFlow does not look at it."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def build_model(num_codes: int, num_classes: int) -> keras.Model:
    """Return the network: codes (B, 64) → logits (B, K)."""
    codes = keras.Input((MAX_LENGTH,), dtype="int32")
    x = layers.Embedding(num_codes, EMBEDDING_DIM, name="embedding")(codes)
    for number, filters in enumerate(CONV_FILTERS):
        x = layers.Conv1D(filters, KERNEL_SIZE, padding="same", activation="relu", name=f"conv{number}")(x)
    lstm = layers.LSTM(LSTM_UNITS, return_sequences=True)
    hidden = layers.Bidirectional(lstm, name="lstm")(x)
    projected = layers.Dense(ATTENTION_UNITS, activation="tanh", name="projection")(hidden)
    weights = layers.Softmax(axis=1)(layers.Dense(1, use_bias=False, name="score")(projected))  # (B, T, 1)
    context = layers.Flatten()(layers.Dot(axes=1)([weights, hidden]))
    return keras.Model(codes, layers.Dense(num_classes, name="classifier")(context))


def set_weights(model: keras.Model, job: Job) -> None:
    """Give the model the weights of the job."""
    given = job.weights
    model.get_layer("embedding").set_weights([given["embedding.weight"]])
    for number in range(len(CONV_FILTERS)):
        bias = given[f"convolutions.{number}.linear.bias"]
        model.get_layer(f"conv{number}").set_weights([job.convolution(number), bias])
    lstm = []
    for direction in ("lstm.forward_lstm", "lstm.backward_lstm"):
        lstm += [given[f"{direction}.weight_ih_l0"].T, given[f"{direction}.weight_hh_l0"].T]
        lstm += [given[f"{direction}.bias_ih_l0"] + given[f"{direction}.bias_hh_l0"]]
    model.get_layer("lstm").set_weights(lstm)
    projection = [given["attention.projection.weight"].T, given["attention.projection.bias"]]
    model.get_layer("projection").set_weights(projection)
    model.get_layer("score").set_weights([given["attention.score.weight"].T])
    model.get_layer("classifier").set_weights([given["classifier.weight"].T, given["classifier.bias"]])


class Watch(keras.callbacks.Callback):
    """Notes the end and the loss of each step; Keras reports the mean of an epoch so far."""

    def __init__(self) -> None:
        super().__init__()
        self.stopwatch = Stopwatch()
        self.means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Note them."""
        self.means.append(float(logs["loss"]))
        self.stopwatch.note()

    def losses(self) -> list[float]:
        """Return the loss of each step."""
        sums = np.array(self.means) * np.arange(1, len(self.means) + 1)
        return np.diff(sums, prepend=0.0).tolist()


def main() -> int:
    """Train and print the figures."""
    use_threads()
    job = Job(Path(sys.argv[1]))
    if sys.argv[2:] == ["bf16"]:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = build_model(job.num_codes, job.num_classes)
    set_weights(model, job)
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE, epsilon=ADAM_EPSILON),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    watch = Watch()
    codes = job.codes.astype(np.int32)
    model.fit(
        codes, job.labels, batch_size=job.batch_size, shuffle=False, epochs=1, verbose=0, callbacks=[watch]
    )
    watch.stopwatch.report(job.batch_size, watch.losses())
    return 0


if __name__ == "__main__":
    sys.exit(main())
