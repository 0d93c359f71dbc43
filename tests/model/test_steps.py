"""Decode steps in buffers of fixed length, as a GPU replays them, against steps that grow."""

import pytest
import torch
from families import FAMILIES, N_LAYERS, load, tolerance

from skiploop.engine.batching.rows import pad_left
from skiploop.engine.cache.slots import attends_fully
from skiploop.engine.decoding.cuda_graph import GraphStepper, PlainStepper, steps
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule
from skiploop.programs.program import Program

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "2:3x0 5:6x0", "2:4x3~0.5")
]
PROMPTS = [[7, 3, 9, 22, 41], [3, 8], [44], [9, 8, 7], [5]]
TOKENS = [torch.tensor(column) for column in ([5, 6, 7, 8, 9], [40, 3, 12, 13, 2], [2, 9, 9, 3, 1])]
N_MOST = 5
FULLY = [family for family in FAMILIES if attends_fully(load(family).model)]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def prompted(stack):
    """An executor that holds prompts, ready for further tokens, and its mask."""
    executor = Executor(stack, schedule([p.layer_inputs for p in PROGRAMS]), use_cache=True)
    tokens, mask = pad_left(PROMPTS, stack.device)
    executor.logits(tokens, mask, n_last=1)
    rows = range(len(PROGRAMS))
    return executor.fork(rows, rows), mask


@pytest.mark.parametrize("family", FULLY)
def test_steps_of_fixed_length_have_the_logits_of_steps_that_grow(family):
    stack = load(family)
    plain = PlainStepper(*prompted(stack))
    fixed = GraphStepper(*prompted(stack), N_MOST)
    for tokens in TOKENS:
        expected = plain.logits(tokens)
        torch.testing.assert_close(fixed.logits(tokens), expected, rtol=0, atol=tolerance(family))
    assert torch.equal(fixed.mask_BK, plain.mask_BK)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine that cannot record")
def test_a_step_that_cannot_be_recorded_runs_as_it_comes():
    stack = load("llama")
    plain, running = PlainStepper(*prompted(stack)), GraphStepper(*prompted(stack), N_MOST)
    running._may_record = True  # as on a GPU; without one, recording fails
    for tokens in TOKENS:
        torch.testing.assert_close(running.logits(tokens), plain.logits(tokens), rtol=0, atol=1e-4)
    assert stack.recorded is None


def test_rows_go_on_from_steps_of_fixed_length():
    stack = load("llama")
    ends = []
    for running in (PlainStepper(*prompted(stack)), GraphStepper(*prompted(stack), N_MOST)):
        running.logits(TOKENS[0])
        forked = running.executor.fork([1, 4], range(2))
        ends.append(PlainStepper(forked, running.mask_BK[[1, 4]]).logits(torch.tensor([5, 6])))
    torch.testing.assert_close(*ends, rtol=0, atol=1e-4)


def test_a_replayed_step_is_counted_like_one_that_ran():
    stack = load("llama")
    running = GraphStepper(*prompted(stack), N_MOST)
    counts = []
    for step in (lambda: running.logits(TOKENS[0]), running.executor.note_replay):
        before = stack.work.n_calls, stack.work.n_sequences, stack.work.n_layer_tokens
        step()
        after = stack.work.n_calls, stack.work.n_sequences, stack.work.n_layer_tokens
        counts.append([one - other for one, other in zip(after, before, strict=True)])
    assert counts[0] == counts[1]
    assert min(counts[0]) > 0


def test_nothing_is_recorded_on_a_cpu():
    executor, mask = prompted(load("llama"))
    assert isinstance(steps(executor, mask, 1000), PlainStepper)
