"""Rows that join a batch while it runs, and rows that leave it, against each row alone."""

import pytest
import torch
from families import MIXED_FAMILIES, N_LAYERS, build, load, tokenizer
from joining import PROGRAMS, PROMPTS, Request, Run, requests_of, run_at_random

import skiploop
from skiploop.engine.decoding import group as engine_group
from skiploop.engine.decoding.cuda_graph import GraphStepper
from skiploop.engine.forward.way import Way
from skiploop.engine.options import Options
from skiploop.errors import BatchError


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_rows_that_join_and_leave_change_no_other_rows_tokens(family):
    assert run_at_random(load(family), seed=len(family))


@pytest.mark.parametrize("way", [Way.EQUAL, Way.RECOMPUTED])
def test_rows_join_where_only_rows_of_one_length_share_a_pass(way):
    stack = load("llama")
    stack.way = way
    run_at_random(stack, seed=3, together=1)


def test_rows_that_join_are_the_same_to_the_last_bit_if_that_is_asked_for():
    stack = skiploop.load(build("llama"), tokenizer=tokenizer(), exact=True)
    some = requests_of(seed=6, n=8)
    run = Run(stack)
    for request in some:
        run.join([request])
        if run.batch.rows:
            run.step()
    run.finish()
    assert [run.finished[request.number] for request in some] == [r.alone(stack) for r in some]


def test_rows_join_steps_in_buffers_of_fixed_length(monkeypatch):
    made = []

    def fixed(executor, mask_BK, n_most):
        made.append(GraphStepper(executor, mask_BK, n_most))
        return made[-1]

    monkeypatch.setattr(engine_group, "steps", fixed)
    run_at_random(load("qwen3"), seed=4)
    assert len(made) > 4  # one for each join, and for each time that rows have left


def test_rows_that_attend_fully_run_in_one_pass_and_others_beside_each_other():
    for family, n_passes in (("llama", 1), ("mistral", 2)):
        stack = load(family)
        identity = [
            Request(i, PROMPTS[i], PROGRAMS[0], Options(max_new_tokens=20)) for i in range(2)
        ]
        run = Run(stack)
        run.join(identity[:1])
        run.step()
        run.join(identity[1:])
        before = stack.work.n_calls
        run.step()
        assert stack.work.n_calls - before == n_passes * N_LAYERS


def test_padding_of_rows_that_have_left_goes_when_others_join():
    stack, options = load("llama"), Options(max_new_tokens=60)
    long = Request(0, "a" * 60, PROGRAMS[0], options)
    some = [Request(i, PROMPTS[i], PROGRAMS[i], options) for i in range(1, 4)]
    run = Run(stack)
    run.join([long])
    run.join(some[:2])
    run.step()
    run.batch.drop([0])
    run.join(some[2:])
    run.step()
    longest = max(len(r.prompt) for r in some) + 10
    assert stack.work.cache_bytes <= 4 * 12 * (longest + 60 + 16) * stack.token_bytes
    run.finish()
    run.check(some)


def test_what_cannot_join_leave_or_step_is_refused_and_the_others_go_on():
    stack, options = load("llama"), Options(max_new_tokens=6)
    some = [Request(i, PROMPTS[i], PROGRAMS[i], options) for i in range(2)]
    run = Run(stack)
    with pytest.raises(BatchError, match="no open row: let rows join"):
        run.batch.step()
    run.join(some[:1])
    with pytest.raises(BatchError, match="row 0 is already in the batch"):
        run.join(some[:1])
    run.tokens[0].pop()  # its first token, told a second time
    with pytest.raises(BatchError, match="row 7 is not in the batch"):
        run.batch.drop([7])
    room, stack.memory = stack.memory, 2 * 6 * 14 * stack.token_bytes
    with pytest.raises(
        BatchError, match=r"rows that join .* need [\d,]+ bytes .* others have ended"
    ):
        run.join(some[1:])
    run.tokens.pop(1)
    stack.memory = room
    run.join(some[1:])
    run.finish()
    run.check(some)
