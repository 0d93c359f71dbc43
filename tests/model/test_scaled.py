"""Scaled layers in views and in the engine, against their formula."""

import pytest
import torch
from families import FAMILIES, MIXED_FAMILIES, N_LAYERS, load, tolerance
from token_by_token import check_rows, logits
from torch import nn

from skiploop.engine.batching.rows import pad_left
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule
from skiploop.errors import UnsupportedModelError
from skiploop.models.scaling import scaled
from skiploop.models.view import graft
from skiploop.programs.layer_pass import scale_of
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

TEXTS = [
    "1:3x1*1.5",
    "0:1x1*0.5 4:6x1*2",  # the first and the last layer
    "1:2x1*0.75 2:3x1*1.25 3:4x0",
    "2:4x2*0.5",
    "1:3x3*1.5 4:6x0",
    "1:2x1*0 3:4x2",
]
PROGRAMS = [Program.parse(text, N_LAYERS) for text in TEXTS]
PROMPTS = [
    [21, 6, 6, 13],
    [7, 3, 9, 22, 41, 5, 5, 18, 30, 2, 12],
    [3, 3, 8],
    [44],
    [9, 8, 7, 6, 5, 4, 3, 2],
    [1, 2, 3],
]
TEXT_PROMPTS = ["one and the same start, " + end for end in ("12+7=", "a", "hello there, you?")]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


class Formula(nn.Module):
    """Runs h + a (f(h) - h)."""

    def __init__(self, layer, scale):
        super().__init__()
        self.__dict__["layer"] = layer
        self.scale = scale

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["layer"], name)

    def forward(self, states, *args, **kwargs):
        before = states.clone()
        found = self.layer(states, *args, **kwargs)
        after = found[0] if isinstance(found, tuple) else found
        out = before + self.scale * (after - before)
        return (out, *found[1:]) if isinstance(found, tuple) else out


def formula(stack, program):
    """Return a model that scales layers as the definition says, for use without a cache."""
    unscaled = [Segment(e.start, e.stop, e.runs) for e in program.edits if e.runs != 1]
    view = stack.view(Program(N_LAYERS, tuple(unscaled)))
    layers = view.get_submodule(stack.layers_path)
    scales = map(scale_of, program.layer_inputs)
    wrapped = [Formula(layer, scale) for layer, scale in zip(layers, scales, strict=True)]
    return graft(view, stack.layers_path, nn.ModuleList(wrapped))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_view_of_scaled_layers_equals_their_formula(family):
    stack = load(family)
    for program in PROGRAMS:
        expected = logits(formula(stack, program), PROMPTS[0])
        found = logits(stack.view(program), PROMPTS[0])
        torch.testing.assert_close(found, expected, rtol=0, atol=2 * tolerance(family))


@pytest.mark.parametrize("family", [one for one in MIXED_FAMILIES if one in FAMILIES])
def test_rows_with_scaled_layers_equal_their_formula_token_by_token(family):
    stack = load(family)
    atol = 3 * tolerance(family)  # six passes round more than two
    check_rows(stack, PROGRAMS, PROMPTS, lambda program: formula(stack, program), atol)


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_answers_under_scaled_layers_are_those_of_each_program_alone(family):
    stack = load(family)
    prompts = [prompt for prompt in TEXT_PROMPTS for _ in PROGRAMS]
    together = stack.generate(prompts, PROGRAMS * len(TEXT_PROMPTS), max_new_tokens=5)
    alone = [
        stack.generate([prompt], program, max_new_tokens=5)[0]
        for prompt, program in zip(prompts, PROGRAMS * len(TEXT_PROMPTS), strict=True)
    ]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]


def test_a_damped_loop_of_scaled_layers_is_the_same_in_views_and_in_the_engine():
    stack = load("llama")
    program = Program.parse("1:3x3~0.5*1.5 4:5x2~mean*0.5", N_LAYERS)
    executor = Executor(stack, schedule([program.layer_inputs]), use_cache=False)
    tokens = torch.tensor([PROMPTS[1]])
    found = executor.logits(tokens, torch.ones_like(tokens), n_last=1)[0, -1]
    expected = logits(stack.view(program), PROMPTS[1])[-1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_in_bfloat16_a_batch_runs_the_scales_that_views_run():
    given, returned = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    for scale in (1.003, 1.05, 1.2, 0.9):
        one, each = scaled(given, returned, scale), scaled(given, returned, torch.full((3,), scale))
        torch.testing.assert_close(each, one, rtol=0.01, atol=0.002)
        moved = (one - returned).abs().mean() / (returned - given).abs().mean()
        assert float(moved) == pytest.approx(abs(scale - 1), rel=0.6, abs=0.002)


def test_hidden_states_of_a_view_are_those_that_the_next_layer_is_given():
    view = load("llama").view(Program.parse("1:2x1*0", N_LAYERS))
    states = view(torch.tensor([PROMPTS[0]]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(states[1], states[2], rtol=0, atol=1e-5)
    assert (states[2] - states[3]).abs().max() > 0.1


def test_a_view_of_scaled_layers_refuses_to_be_saved_as_weights(tmp_path):
    view = load("llama").view(Program.parse("1:3x1*0.5", N_LAYERS))
    with pytest.raises(UnsupportedModelError, match="scaled layers is no list of layers"):
        view.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_layer_of_scale_0_adds_nothing():
    stack = load("llama")
    skipped = Program.parse("2:4x0", N_LAYERS)
    nothing = Program.parse("2:4x1*0", N_LAYERS)
    found, expected = (
        stack.loglikelihood(TEXT_PROMPTS, [" yes"] * 3, program) for program in (nothing, skipped)
    )
    assert found == pytest.approx(expected)


def test_rows_beside_scaled_ones_keep_their_states_to_the_last_bit():
    stack = load("llama")
    identity, scaled = Program.identity(N_LAYERS), Program.parse("1:3x1*1.5", N_LAYERS)
    tokens, mask = pad_left([PROMPTS[0]] * 2, torch.device("cpu"))
    beside, without = (
        Executor(stack, schedule([p.layer_inputs for p in pair]), use_cache=False)
        for pair in ((identity, scaled), (identity, Program.parse("1:3x2", N_LAYERS)))
    )
    expected = without.logits(tokens, mask, n_last=1)[0]
    assert torch.equal(beside.logits(tokens, mask, n_last=1)[0], expected)
