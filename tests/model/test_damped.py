"""Damped loops in views and in the engine, against their formula."""

import copy

import pytest
import torch
from families import FAMILIES, MIXED_FAMILIES, N_LAYERS, load, tolerance
from token_by_token import check_rows, logits
from torch import nn

from skiploop.engine.cache.states import StateCache
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.engine.options import Options
from skiploop.policies.damped import damped_windows
from skiploop.programs.program import Program
from skiploop.programs.segment import MEAN

TEXTS = ["1:3x3~0.5", "0:1x2~0", "2:5x2~0.25", "3:5x4~1", "2:4x3~mean"]
PROGRAMS = [Program.parse(text, N_LAYERS) for text in TEXTS]
# Next to each other, next to a skip and a plain loop, and with beginnings in common.
MIXED = [
    Program.parse(text, N_LAYERS)
    for text in (
        "1:3x3~0.5 3:4x2~0.3",
        "0:1x0 1:3x3~0.5",
        "1:3x3~0.9",
        "1:3x3",
        "1:3x2 3:5x2~0.5",
        "1:3x3~mean",
    )
]
PROMPTS = [
    [21, 6, 6, 13],
    [7, 3, 9, 22, 41, 5, 5, 18, 30, 2, 12],
    [3, 3, 8],
    [44],
    [9, 8, 7, 6, 5, 4, 3, 2],
]
START = "one and the same start, "
TEXT_PROMPTS = [START + end for end in ("12+7=", "a", "hello there, you?")]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


class Noted(nn.Module):
    """Returns what it is given and notes with what; the last layer of a block runs the formula."""

    def __init__(self, layer, calls, segment=None, block=()):
        super().__init__()
        self.__dict__["layer"] = layer
        self.calls, self.segment, self.block = calls, segment, block

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["layer"], name)

    def forward(self, states, *args, **kwargs):
        self.calls.append((self.__dict__["layer"], args, kwargs))
        if self.segment is None:
            return (states,) if self.returns_tuples else states
        n_runs, anchor = self.segment.runs, self.segment.anchor
        out = self.mean(states, n_runs) if anchor == MEAN else self.damped(states, n_runs, anchor)
        self.calls.clear()
        return (out,) if self.returns_tuples else out

    def damped(self, states, n_runs, anchor):
        x = states
        for _ in range(n_runs):
            x = (1 - 1 / n_runs) * x + self.g(x) / n_runs
        return anchor * self.g(states) + (1 - anchor) * x

    def mean(self, states, n_runs):
        iterates = [self.g(states)]
        while len(iterates) < n_runs:
            iterates.append(self.g(iterates[-1]))
        return sum(iterates) / n_runs

    def g(self, states):
        for layer, args, kwargs in self.calls:
            states = layer(states, *args, **kwargs)
            states = states[0] if isinstance(states, tuple) else states
        return states


def formula(stack, program):
    """Return a model that runs one damped loop as its definition says, for use without a cache."""
    (segment,) = program.edits
    model = copy.deepcopy(stack.model)
    layers, calls = model.get_submodule(stack.layers_path), []
    for index in range(segment.start, segment.stop):
        is_last = index == segment.stop - 1
        layers[index] = Noted(layers[index], calls, segment if is_last else None)
        layers[index].returns_tuples = stack.calling.n_returned is not None
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_view_of_a_damped_loop_equals_its_formula(family):
    stack = load(family)
    for program in PROGRAMS:
        expected = logits(formula(stack, program), PROMPTS[0])
        found = logits(stack.view(program), PROMPTS[0])
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance(family))


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_rows_with_damped_loops_equal_their_formula_token_by_token(family):
    stack = load(family)
    atol = 2 * tolerance(family)  # four passes round more than two
    check_rows(stack, PROGRAMS, PROMPTS, lambda program: formula(stack, program), atol)


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_with_anchor_1_the_model_is_the_plain_one(family):
    stack = load(family)
    damped = Program.parse("1:4x3~1", N_LAYERS)
    plain = stack.generate(TEXT_PROMPTS, Program.identity(N_LAYERS), max_new_tokens=6)
    found = stack.generate(TEXT_PROMPTS, damped, max_new_tokens=6)
    assert [c.token_ids for c in found] == [c.token_ids for c in plain]
    assert [c.logprob for c in found] == pytest.approx([c.logprob for c in plain], abs=1e-3)


def test_every_damped_window_with_anchor_1_is_the_plain_model():
    stack = load("llama")
    (plain,) = stack.generate(TEXT_PROMPTS[:1], Program.identity(N_LAYERS), max_new_tokens=6)
    windows = damped_windows(N_LAYERS, anchors=(1.0,))
    found = stack.generate(TEXT_PROMPTS[:1] * len(windows), windows, max_new_tokens=6)
    assert windows and {c.token_ids for c in found} == {plain.token_ids}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_with_damped_loops_writes_what_views_write(family):
    stack = load(family)
    pairs = [(prompt, program) for prompt in TEXT_PROMPTS for program in MIXED]
    saved = StateCache(10**8)
    for _ in range(2):  # the second time, from what the first one left
        found = together(stack, pairs, saved=saved)
        assert [c.token_ids for c in found] == [by_view(stack, *pair) for pair in pairs]


def together(stack, pairs, **settings):
    prompts, programs = zip(*pairs, strict=True)
    columns = stack.stream(prompts, programs, Options(max_new_tokens=5, **settings))
    finished = {row: c for column in columns for row, c in column.finished.items()}
    return [finished[row] for row in range(len(pairs))]


def by_view(stack, prompt, program):
    """What Hugging Face writes with its own cache."""
    inputs = stack.tokenizer(prompt, return_tensors="pt")
    output = stack.view(program).generate(
        **inputs, max_new_tokens=5, min_new_tokens=5, do_sample=False, pad_token_id=0
    )
    return tuple(output[0, inputs["input_ids"].shape[1] :].tolist())


def test_states_before_and_after_a_damped_loop_are_gone_on_from():
    stack = load("llama")
    one, other = (Program.parse(f"1:3x3~0.5 {end}", N_LAYERS) for end in ("4:5x0", "4:5x2"))
    saved = StateCache(10**8)
    together(stack, [(TEXT_PROMPTS[0], one)], saved=saved)
    first_pass = stack.work.n_layer_tokens
    found = together(stack, [(TEXT_PROMPTS[0], other)], saved=saved)
    assert found[0].token_ids == by_view(stack, TEXT_PROMPTS[0], other)
    assert stack.work.n_layer_tokens - first_pass < first_pass / 2


def test_a_damped_loop_chosen_while_the_prompt_runs_is_the_one_known_before():
    stack = load("llama")
    programs = [Program.parse(text, N_LAYERS) for text in ("1:3x3~0.5", "2:4x2~0.5", "identity")]
    late = PrefillChoice(1, lambda numbers, _: [programs[number % 3] for number in numbers])
    found = stack.generate(TEXT_PROMPTS, late, max_new_tokens=5)
    expected = stack.generate(TEXT_PROMPTS, programs, max_new_tokens=5)
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
