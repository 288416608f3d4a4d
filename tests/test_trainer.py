"""The training loop: what it learns, what the numbers of its history are, and when it stops."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from data.feature_engineering import NUM_CODES, code_lengths, encode_domains
from models.batching import training_batches
from models.cnn_lstm_model import CNN_LSTM_Model
from models.model_trainer import ModelTrainer, TrainingFailedError
from models.optimization import learning_rate
from models.training_state import BestWeights
from tests.toy_domains import CLASSES, MAX_LENGTH, toy_config, toy_domains
from utils.errors import ConfigError, UserError


def toy_model(seed=0):
    torch.manual_seed(seed)
    return CNN_LSTM_Model(NUM_CODES, len(CLASSES), toy_config())


def toy_data(num_names=120, num_validation=40):
    """Return X_train, y_train, X_val, y_val."""
    names, labels = toy_domains(num_names + num_validation)
    codes = encode_domains(names, MAX_LENGTH)
    return codes[:num_names], labels[:num_names], codes[num_names:], labels[num_names:]


class FixedLogits(nn.Module):
    """Answers every row with the same logits, log(p)."""

    def __init__(self, p):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(p).log())

    def forward(self, codes):
        return self.logits.expand(len(codes), -1)


def first_epoch(p, labels, *, class_weights=None, **training):
    """Return the history of one epoch at a learning rate that changes no weight."""
    codes = encode_domains(["a.com"] * len(labels), 8)
    config = toy_config(**{"epochs": 1, "batch_size": 100, "learning_rate": 1e-30} | training)
    trainer = ModelTrainer(FixedLogits(p), config)
    history = trainer.train(codes, np.array(labels), codes, np.array(labels), class_weights)
    return {name: values[0] for name, values in history.items()}


# ------------------------------------------------------------------ learning


def test_the_loss_falls_on_names_that_can_be_learned():
    history = ModelTrainer(toy_model(), toy_config(epochs=6)).train(*toy_data(360))
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9
    assert {len(column) for column in history.values()} == {6}
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


def test_one_seed_gives_one_history_and_another_seed_another():
    def run(seed):
        model = toy_model()
        torch.seed()  # what came before must not matter
        return ModelTrainer(model, toy_config(seed=seed)).train(*toy_data()), model.state_dict()

    (first, weights), (second, same_weights), (other, _) = run(1), run(1), run(2)
    assert first == second
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert first["loss"] != other["loss"]


def test_the_batches_of_an_epoch_are_others_than_those_before():
    model, seen = FixedLogits(P), []
    model.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].tolist()) if module.training else None
    )
    ModelTrainer(model, toy_config(epochs=2)).train(*toy_data())
    assert len(seen) == 16
    assert sorted(map(len, seen[:8])) == sorted(map(len, seen[8:]))
    assert not any(batch in seen[8:] for batch in seen[:8])


def test_arrays_and_tensors_and_every_integer_type_give_the_same_history():
    X, y, X_val, y_val = toy_data()
    histories = [
        ModelTrainer(toy_model(), toy_config(epochs=1)).train(*data)
        for data in (
            (X, y, X_val, y_val),
            (X, y.astype(np.int32), X_val, y_val.astype(np.uint8)),
            tuple(map(torch.as_tensor, (X, y, X_val, y_val))),
        )
    ]
    assert histories[0] == histories[1] == histories[2]


def test_one_hot_labels_are_refused_with_what_to_do():
    X, y, X_val, y_val = toy_data()
    with pytest.raises(ValueError, match=r"y_train must be class numbers .*y_train\.argmax"):
        ModelTrainer(toy_model(), toy_config()).train(X, np.eye(3)[y], X_val, y_val)
    with pytest.raises(ValueError, match=r"y_val must be class numbers .*y_val\.argmax"):
        ModelTrainer(toy_model(), toy_config()).train(X, y, X_val, np.eye(3)[y_val])


def test_bfloat16_trains_where_the_processor_has_it_and_is_refused_elsewhere(monkeypatch):
    try:
        history = ModelTrainer(toy_model(), toy_config(precision="bf16")).train(*toy_data())
    except ConfigError:
        pass  # an RuntimeError in the first step would not do
    else:
        assert history["loss"][-1] < history["loss"][0]
    monkeypatch.setattr("models.device._lstm_runs_in_bfloat16", lambda device: False)
    with pytest.raises(ConfigError, match=r"training\.precision: bf16 does not work on this CPU"):
        ModelTrainer(toy_model(), toy_config(precision="bf16"))
    assert not ModelTrainer(toy_model(), toy_config(precision="auto")).train_step.bfloat16


def test_no_progress_bar_where_there_is_no_terminal(capfd):
    ModelTrainer(toy_model(), toy_config(epochs=1)).train(*toy_data())
    assert capfd.readouterr() == ("", "")
    ModelTrainer(toy_model(), toy_config(epochs=1), show_progress=True).train(*toy_data())
    assert "epoch 1/1" in capfd.readouterr().err


# ------------------------------------------------------------------ the numbers of the history

P = [0.5, 0.3, 0.2]
LABELS = [0, 0, 1, 2, 2]


def test_loss_and_accuracy_are_averages_over_names():
    expected = -(2 * math.log(0.5) + math.log(0.3) + 2 * math.log(0.2)) / 5
    for batch_size in (100, 3, 2, 1):  # a smaller last batch counts for what it is
        history = first_epoch(P, LABELS, batch_size=batch_size)
        assert history["loss"] == pytest.approx(expected, rel=1e-6)
        assert history["val_loss"] == pytest.approx(expected, rel=1e-6)
        assert history["accuracy"] == pytest.approx(2 / 5)
        assert history["val_accuracy"] == pytest.approx(2 / 5)


def test_class_weights_weight_the_loss():
    expected = -(2 * 1 * math.log(0.5) + 2 * math.log(0.3) + 2 * 4 * math.log(0.2)) / (2 * 1 + 2 + 2 * 4)
    for weights in ([1, 2, 4], np.array([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 4.0])):
        assert first_epoch(P, LABELS, class_weights=weights)["loss"] == pytest.approx(expected, rel=1e-6)
    in_batches = first_epoch(P, LABELS, class_weights=[1, 2, 4], batch_size=2)
    assert in_batches["loss"] == pytest.approx(expected, rel=1e-6)


def test_class_weights_weight_the_gradient_like_pytorchs_mean():
    model, weights = FixedLogits(P), torch.tensor([1.0, 2.0, 4.0])
    logits = model.logits.detach().clone().requires_grad_()
    nn.functional.cross_entropy(logits.expand(5, -1), torch.tensor(LABELS), weights).backward()
    trainer, gradients = ModelTrainer(model, toy_config(epochs=1, gradient_clip=None)), []
    trainer.optimizer.register_step_pre_hook(lambda *_: gradients.append(model.logits.grad.clone()))
    codes = encode_domains(["a.com"] * 5, 8)
    trainer.train(codes, np.array(LABELS), codes, np.array(LABELS), weights)
    torch.testing.assert_close(gradients[0], logits.grad)


def test_validation_takes_off_the_shift_of_the_logits_that_class_weights_make():
    shares = np.array(P) / [1, 2, 4]
    shares /= shares.sum()
    expected = -np.log(shares)[LABELS].mean()
    assert first_epoch(P, LABELS, class_weights=[1, 2, 4])["val_loss"] == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_spreads_its_share_over_all_classes():
    epsilon = 0.3
    uniform = -sum(math.log(p) for p in P) / 3
    expected = np.mean([(1 - epsilon) * -math.log(P[y]) + epsilon * uniform for y in LABELS])
    history = first_epoch(P, LABELS, label_smoothing=epsilon)
    assert history["loss"] == pytest.approx(expected, rel=1e-6)
    assert history["val_loss"] == pytest.approx(-np.log(P)[LABELS].mean(), rel=1e-6)


def test_metrics_get_labels_and_logits_in_the_order_of_the_rows_and_join_the_history():
    X, y, X_val, y_val = toy_data()
    model, seen = toy_model(), []

    def metrics(labels, logits):
        seen.append((labels, logits))
        return {"auc": len(seen) / 10, "names": len(labels)}

    history = ModelTrainer(model, toy_config(epochs=2), metrics=metrics).train(X, y, X_val, y_val)
    assert history["val_auc"] == [0.1, 0.2]
    assert history["val_names"] == [40.0, 40.0]
    labels, logits = seen[-1]
    assert np.array_equal(labels, y_val)
    model.eval()
    if history["val_loss"][1] < history["val_loss"][0]:  # the weights of the last epoch are the best
        torch.testing.assert_close(logits, model(torch.from_numpy(X_val)), rtol=0, atol=1e-5)


# ------------------------------------------------------------------ early stopping


@pytest.mark.parametrize(
    ("metric", "values", "epochs", "best"),
    [
        ("val_auc", [0.5, 0.7, 0.6, 0.69, 0.9], 4, 2),
        ("val_auc", [0.0, -0.1, 0.0, 0.9], 3, 1),  # 0.0 is a value, and no better than itself
        ("val_auc", [0.1, 0.2, 0.15, 0.3, 0.1, 0.1], 6, 4),
        ("val_loss", [0.5, 0.4, 0.45, 0.41, 0.1], 4, 2),
        ("val_loss", [0.5, 0.495, 0.493, 0.1], 3, 1),  # less than min_delta better
    ],
)
def test_it_stops_after_patience_epochs_and_restores_the_best_weights(metric, values, epochs, best):
    numbers, weights = iter(values), []
    model = toy_model()
    config = toy_config(
        epochs=6,
        early_stopping_metric=metric,
        early_stopping_patience=2,
        early_stopping_min_delta=0.01,
    )
    trainer = ModelTrainer(
        model,
        config,
        metrics=lambda *_: {metric.removeprefix("val_"): next(numbers)},
        on_epoch_end=lambda result: weights.append((result, model.classifier.weight.detach().clone())),
    )
    history = trainer.train(*toy_data(60, 20))
    assert history[metric] == values[:epochs]
    assert torch.equal(model.classifier.weight, weights[best - 1][1])
    assert not torch.equal(model.classifier.weight, weights[-1][1]) or best == epochs
    assert [result.epoch for result, _ in weights if result.improved][-1] == best


def test_best_weights_are_a_copy():
    model, best = FixedLogits(P), BestWeights("val_loss", 0.0)
    best.update(1.0, 1, model)
    with torch.no_grad():
        model.logits.zero_()
    assert torch.equal(best.state["logits"], torch.tensor(P).log())


def test_a_metric_that_nobody_computes_is_named():
    config = toy_config(early_stopping_metric="val_auc")
    with pytest.raises(UserError, match=r"early_stopping_metric: no val_auc here; there are loss, accuracy"):
        ModelTrainer(toy_model(), config).train(*toy_data(60, 20))


# ------------------------------------------------------------------ numbers that are none


class NanAtCode(nn.Module):
    """Gives NaN for a batch that holds the character code 40."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(3))

    def forward(self, codes):
        factor = torch.where((codes == 40).any(), torch.nan, 1.0)
        return self.logits.expand(len(codes), -1) * factor


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step():
    X, y, X_val, y_val = toy_data(120, 20)
    X[77, 0] = 40  # "_", which no toy name holds
    config, states = toy_config(batch_size=4, warmup_fraction=0.5), []
    rng = np.random.default_rng([config.training.seed, 0])
    batches = training_batches(code_lengths(X), 4, rng)
    step = next(i for i, rows in enumerate(batches) if 77 in rows)
    rate = learning_rate(step, len(batches), config.training)
    with pytest.raises(TrainingFailedError) as caught:
        ModelTrainer(NanAtCode(), config, on_checkpoint=states.append).train(X, y, X_val, y_val)
    assert f"epoch 1, step {step + 1}, learning rate {rate:.3g}, batch size 4" in str(caught.value)
    assert states == [], "no spoiled weights are saved"


def test_an_infinite_gradient_stops_the_training():
    model = FixedLogits(P)
    model.logits.register_hook(lambda gradient: gradient * torch.inf)
    codes, labels = encode_domains(["a.com"] * 3, 8), np.arange(3)
    with pytest.raises(TrainingFailedError, match="epoch 1, step 1"):
        ModelTrainer(model, toy_config()).train(codes, labels, codes, labels)


def test_a_validation_loss_that_is_no_number_stops_the_training():
    X, y, X_val, y_val = toy_data(60, 20)
    X_val[3, 0] = 40
    with pytest.raises(TrainingFailedError, match="epoch 1: the validation loss is nan"):
        ModelTrainer(NanAtCode(), toy_config()).train(X, y, X_val, y_val)
