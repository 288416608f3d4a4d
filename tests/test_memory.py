"""Out of memory in a training: one line that says which batch size to try, and what was saved stays."""

import pytest
import torch

from models.memory import explain_out_of_memory
from models.model_trainer import ModelTrainer
from models.training_state import TrainingFailedError
from tests.test_trainer import toy_data, toy_model
from tests.toy_domains import toy_config

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")


def raising(error, after=0):
    """Return a hook of a module that lets `after` calls pass and then raises."""
    calls = iter(range(after))

    def hook(*_):
        if next(calls, None) is None:
            raise error

    return hook


@pytest.mark.parametrize("error", [CUDA, CPU, MemoryError()])
def test_training_names_the_batch_size_to_try_and_keeps_what_was_saved(error):
    saved = []
    config = toy_config(batch_size=16, checkpoint_minutes=1e-12)
    trainer = ModelTrainer(toy_model(0), config, on_checkpoint=lambda state: saved.append(state["step"]))
    trainer.model.register_forward_hook(raising(error, after=3))
    advice = r"^out of memory on cpu with batches of 16 names: try --set training\.batch_size=8; what was"
    with pytest.raises(TrainingFailedError, match=advice):
        trainer.train(*toy_data(96, 30))
    assert saved == [1, 2, 3]


def test_where_one_name_does_not_fit_nothing_smaller_is_advised():
    with (
        pytest.raises(TrainingFailedError, match="not even one fits"),
        explain_out_of_memory(torch.device("cuda"), 1),
    ):
        raise CUDA


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), explain_out_of_memory(torch.device("cpu"), 8):
        raise RuntimeError("shape")


def test_the_cpus_own_error_is_recognised():
    """As PyTorch words it today: an array that no machine has room for."""
    with pytest.raises(TrainingFailedError), explain_out_of_memory(torch.device("cpu"), 8):
        torch.empty(2**55, dtype=torch.uint8)
