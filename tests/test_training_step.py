"""A step in several processes moves the weights as the same step in one; compiling changes nothing either."""

from functools import partial

import numpy as np
import pytest
import torch

from models.model_trainer import STOP, ModelTrainer, TrainingFailedError, TrainingStopped
from models.training_data import TrainingData
from models.training_state import EpochSums, seed_of
from models.training_step import TrainingStep
from tests.test_trainer import NanAtCode, toy_data, toy_model
from tests.toy_domains import toy_config
from utils.errors import ConfigError
from utils.processes import OneProcess

CPU = torch.device("cpu")
WEIGHTS = np.array([0.5, 1.0, 2.0], dtype=np.float32)


class Share(OneProcess):
    """One of several processes whose others are not there: it keeps its gradient to itself."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def gradients_and_sums(rows, processes, weights):
    """Return what one step of one process computes: gradients, and the sums of loss, weights, hits, names."""
    model = toy_model()
    settings = toy_config(gradient_clip=None).training
    step = TrainingStep(model.eval(), settings, CPU, processes)  # eval: no dropout
    data = TrainingData(*toy_data(60, 0)[:2], weights, CPU)
    batch = next(b for b in data.batches(rows, np.random.default_rng(0)) if len(b.rows) == rows)
    found = []
    step.optimizer.register_step_pre_hook(lambda *_: found.extend(p.grad.clone() for p in model.parameters()))
    step.prepare(data)
    model.eval()
    sums = EpochSums()
    step(data, batch, 0, 0.1, sums)
    assert sums.first_bad_step(OneProcess()) is None
    return found, [float(sums.loss_sum), float(sums.weight_sum), float(sums.correct), sums.count]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("rows", "size"), [(20, 2), (19, 2), (7, 3), (2, 4), (1, 2)])
def test_the_average_of_the_processes_gradients_is_that_of_one(rows, size, weights):
    """Also where shares differ in size and in their class weights, and where some are empty."""
    expected, totals = gradients_and_sums(rows, OneProcess(), weights)
    shares = [gradients_and_sums(rows, Share(rank, size), weights) for rank in range(size)]
    for number, gradient in enumerate(expected):
        average = sum(gradients[number] for gradients, _ in shares) / size
        torch.testing.assert_close(average, gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sum([sums for _, sums in shares], axis=0), totals, rtol=1e-5)
    assert totals[3] == rows


def test_more_processes_than_names_in_a_batch_are_refused():
    with pytest.raises(ConfigError, match=r"training\.batch_size: 16 names cannot be divided among 17 proc"):
        ModelTrainer(toy_model(), toy_config(), processes=Share(3, 17))


# ------------------------------------------------------------------ agreement


def test_a_number_that_is_none_in_another_process_stops_this_one():
    class AnotherFailed(OneProcess):
        def lowest(self, value):
            return min(value, 4)

    with pytest.raises(TrainingFailedError, match="epoch 1, step 5"):
        ModelTrainer(toy_model(), toy_config(), processes=AnotherFailed()).train(*toy_data())


def test_a_stop_in_another_process_stops_this_one_after_the_same_step():
    class AnotherStops(OneProcess):
        steps = 0

        def agree(self, wish, *, wait=True):
            assert wish == 0
            self.steps += 1
            return STOP + 15 if self.steps == 3 else 0

    states = []
    trainer = ModelTrainer(toy_model(), toy_config(), on_checkpoint=states.append, processes=AnotherStops())
    with pytest.raises(TrainingStopped, match="stopped in epoch 1 after step 3") as stopped:
        trainer.train(*toy_data())
    assert stopped.value.exit_code == 128 + 15
    assert [state["step"] for state in states] == [3]


def test_the_others_neither_write_nor_draw(capfd):
    def never(*_):
        raise AssertionError

    class Second(OneProcess):
        rank = 1

        def collect(self, value):
            return []

        def from_first(self, value):
            return {"val_loss": 0.5, "val_auc": 0.75}

    config = toy_config(epochs=2, checkpoint_minutes=1e-12, early_stopping_metric="val_auc")
    trainer = ModelTrainer(
        toy_model(),
        config,
        metrics=never,
        on_epoch_end=never,
        on_checkpoint=never,
        show_progress=True,
        processes=Second(),
    )
    history = trainer.train(*toy_data())
    assert history["val_auc"] == [0.75, 0.75], "the numbers are the first process's"
    assert capfd.readouterr().err == ""


def test_each_process_hides_other_numbers():
    draws = []
    for rank in (0, 1, 2):
        ModelTrainer(toy_model(), toy_config(), processes=Share(rank, 3))._seed_dropout()
        draws.append(torch.rand(1).item())
    torch.manual_seed(toy_config().training.seed)
    assert draws[0] == torch.rand(1).item(), "the first one those of a process alone"
    assert len(set(draws)) == 3


def test_each_process_gets_its_own_random_state_back_and_a_new_one_a_fresh_one():
    class First(Share):
        def collect(self, value):
            torch.manual_seed(99)
            return [value, [{"cpu": torch.get_rng_state()}]]

    torch.manual_seed(98)
    state = ModelTrainer(toy_model(98), toy_config(), processes=First(0, 2)).state_dict()
    draws = []
    for rank in (0, 1, 2):
        ModelTrainer(toy_model(), toy_config(), processes=Share(rank, 3)).load_state_dict(state)
        draws.append(torch.rand(1).item())
    torch.manual_seed(99)
    assert draws[1] == torch.rand(1).item()
    torch.manual_seed(seed_of(toy_config().training.seed, 2))
    assert draws[2] == torch.rand(1).item(), "that of its number"
    assert len(set(draws)) == 3


# ------------------------------------------------------------------ torch.compile


def test_what_does_not_compile_is_trained_as_it_is_with_one_message(monkeypatch, caplog):
    def refuse(model, **_):
        def fail(*_):
            torch.rand(1)
            raise RuntimeError("no C++ compiler\nmany more lines")

        return fail

    expected = ModelTrainer(toy_model(), toy_config(epochs=1)).train(*toy_data())
    monkeypatch.setattr(torch, "compile", refuse)
    history = ModelTrainer(toy_model(), toy_config(epochs=1, compile=True)).train(*toy_data())
    assert history == expected, "not even the random numbers moved"
    assert caplog.messages == ["training.compile: not compiled, going on without: no C++ compiler"]


def test_one_process_that_cannot_compile_is_enough(monkeypatch):
    class AnotherFailed(OneProcess):
        def agree(self, wish, *, wait=True):
            return 1

    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    trainer = ModelTrainer(toy_model(), toy_config(compile=True), processes=AnotherFailed())
    trainer.train_step.prepare(TrainingData(*toy_data()[:2], None, CPU))
    assert trainer.train_step._networks == [trainer.model]


def test_a_compiled_model_learns_the_same_and_keeps_its_keys(caplog, monkeypatch):
    """With the first stage of the compiler only: those after it take minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    settings = {"epochs": 2, "batch_size": 60}
    plain = ModelTrainer(toy_model().eval(), toy_config(**settings))
    compiled = ModelTrainer(toy_model(), toy_config(**settings, compile=True))
    for trainer in (plain, compiled):
        trainer.model.dropout.p = 0.0  # the compiler draws other random numbers
    expected = plain.train(*toy_data())
    history = compiled.train(*toy_data())
    assert [r for r in caplog.records if r.name == "models.compilation"] == [], "it did compile"
    assert compiled.train_step._networks[0] is not compiled.model
    for name, column in history.items():
        assert column == pytest.approx(expected[name], abs=1e-4), name
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()


def test_nan_in_the_step_of_an_idle_process_is_found_by_its_owner():
    model, settings = NanAtCode(), toy_config(gradient_clip=None).training
    codes = np.full((1, 4), 40, dtype=np.uint8)
    data = TrainingData(codes, np.array([1]), None, CPU)
    (batch,) = data.batches(2, np.random.default_rng(0))
    step = TrainingStep(model, settings, CPU, Share(0, 2))
    step.prepare(data)
    sums = EpochSums()
    step(data, batch, 6, 0.1, sums)
    assert sums.first_bad_step(OneProcess()) == 6
