"""Slopes of log-probabilities along the scales of layers, against finite steps."""

import families
import numpy as np
import pytest
import torch
from families import N_LAYERS

from skiploop.programs.scales import scaled_program
from skiploop.trials import slopes as module
from skiploop.trials.slopes import root_slopes, slopes

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
    found = slopes(stack, PROMPTS, ANSWERS, SCALES)
    scored = [stepped(stack, row, 0, 0.0) for row in range(len(PROMPTS))]
    np.testing.assert_allclose(found.logprob_S, scored, atol=1e-4)
    expected = [
        [
            (stepped(stack, row, layer, STEP) - stepped(stack, row, layer, -STEP)) / (2 * STEP)
            for layer in range(N_LAYERS)
        ]
        for row in range(len(PROMPTS))
    ]
    np.testing.assert_allclose(found.slope_SL, expected, rtol=0.01, atol=0.002)


@pytest.mark.parametrize("family", ["llama", "gemma2", "lfm2"])  # fully, in windows, recurrent
def test_slopes_of_the_sum_of_roots_are_those_of_all_answers_weighed(family):
    stack = families.load(family, torch.float64)
    starts = ["the very same start, 12+7= ", "the very same start, a", "the very same start, bc"]
    scales = SCALES[1]
    total, found = root_slopes(stack, starts, ANSWERS, scales)
    each = slopes(stack, starts, ANSWERS, np.tile(scales, (3, 1)))
    root = np.exp(each.logprob_S / 2)
    assert total == pytest.approx(root.sum(), rel=1e-6)
    np.testing.assert_allclose(found, root @ each.slope_SL / 2, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("family", ["qwen3_moe", "lfm2", "qwen3_5", "gemma3"])
def test_families_of_all_sorts_have_slopes(family):
    stack = families.load(family)
    found = slopes(stack, PROMPTS, ANSWERS, SCALES).slope_SL
    assert np.isfinite(found).all() and np.count_nonzero(found) == found.size


def test_the_model_is_as_it_was_and_no_weight_has_a_gradient():
    stack = families.load("llama")
    slopes(stack, PROMPTS, ANSWERS, SCALES)
    assert all(weight.grad is None and weight.requires_grad for weight in stack.model.parameters())
