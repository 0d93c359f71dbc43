"""Lessons that run together teach what they teach one by one."""

import pytest
import torch
from families import load

from skiploop.errors import BatchError, DataError
from skiploop.policies import router_tuning
from skiploop.policies.flexidepth.train import train_skippers
from skiploop.policies.mindskip.gates import Attentions
from skiploop.policies.mindskip.train import train_gates
from skiploop.policies.router_tuning import Lesson, TuningConfig

LESSONS = [Lesson("the end of " * (i % 3) + f"{i}=", "nine"[: 1 + i % 4]) for i in range(9)]
CONFIG = TuningConfig(batch_size=5, learning_rate=0.1, epochs=2, warmup_share=0.0)


def gates(stack, lessons=LESSONS):
    return {"gates": train_gates(stack, Attentions(stack), lessons, 0.3, CONFIG).weight_AE.data}


def skippers(stack, lessons=LESSONS):
    return train_skippers(stack, lessons, CONFIG).weights()


@pytest.fixture
def plain_descent(monkeypatch):
    """Steps as large as the gradient, so that two gradients can be compared by where they lead."""

    def optimizer(parameters, lr, betas, weight_decay):
        return torch.optim.SGD(parameters, lr)

    monkeypatch.setattr(router_tuning.torch.optim, "AdamW", optimizer)


@pytest.mark.parametrize("learn", [gates, skippers])
def test_lessons_of_any_length_teach_together_what_they_teach_alone(
    plain_descent, monkeypatch, learn
):
    found = {}
    for most in (router_tuning.MOST_TOKENS, 60, 1):
        monkeypatch.setattr(router_tuning, "MOST_TOKENS", most)
        found[most] = learn(load("llama"))
    first, *others = found.values()
    assert any(weight.abs().max() > 1e-4 for weight in first.values())
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-5, rtol=1e-4)


def test_no_lessons_and_those_that_are_too_long_are_refused():
    with pytest.raises(DataError, match="give training questions"):
        gates(load("llama"), [])
    with pytest.raises(BatchError, match="shorten it"):
        gates(load("llama"), [Lesson("a" * 130, "b")])
