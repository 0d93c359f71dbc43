"""Slopes of log-probabilities along the scales of layers, against finite steps."""

import families
import numpy as np
import pytest
import torch
from families import N_LAYERS

from skiploop.engine.batching.encoding import encode_pairs
from skiploop.programs.scales import scaled_program
from skiploop.search import slopes as module
from skiploop.search.slopes import slopes

PROMPTS, ANSWERS = ["12+7= ", "a", "hello there, you? "], ["19\n", " b", "yes"]
STEP = 1e-3  # norms are computed in float32, whatever the model is
SCALES = np.array(
    [[1.0] * N_LAYERS, [0.5, 1.5, 1.0, 0.75, 2.0, 1.25], [1.25, 1.0, 0.25, 1.0, 1.0, 0.5]]
)


def stepped(stack, row, layer, step):
    """Return the log-probability of an answer with one scale changed by a step."""
    scales = SCALES[row].copy()
    scales[layer] += step
    program = scaled_program(scales.tolist())
    (found,) = stack.loglikelihood([PROMPTS[row]], [ANSWERS[row]], program)
    return found


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt2"])
@pytest.mark.parametrize("at_once", [8, 4096])
def test_slopes_are_those_of_finite_steps_in_batches_of_any_size(family, at_once, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    stack = families.load(family, torch.float64)
    found = slopes(stack, encode_pairs(stack, PROMPTS, ANSWERS), SCALES)
    expected = [
        [
            (stepped(stack, row, layer, STEP) - stepped(stack, row, layer, -STEP)) / (2 * STEP)
            for layer in range(N_LAYERS)
        ]
        for row in range(len(PROMPTS))
    ]
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.002)


@pytest.mark.parametrize("family", ["qwen3_moe", "lfm2", "qwen3_5", "gemma3"])
def test_families_of_all_sorts_have_slopes(family):
    stack = families.load(family)
    found = slopes(stack, encode_pairs(stack, PROMPTS, ANSWERS), SCALES)
    assert np.isfinite(found).all() and np.count_nonzero(found) == found.size


def test_the_model_is_as_it_was_and_no_weight_has_a_gradient():
    stack = families.load("llama")
    slopes(stack, encode_pairs(stack, PROMPTS, ANSWERS), SCALES)
    assert all(weight.grad is None and weight.requires_grad for weight in stack.model.parameters())
