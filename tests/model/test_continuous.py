"""Requests that start, end and are dropped while others run, each against itself alone."""

import random

import pytest
from families import COMMON, load, redraw, tokenizer
from joining import PROGRAMS, Request, requests_of
from transformers import AutoConfig, AutoModelForCausalLM

import skiploop
from skiploop.engine.batching.encoding import encode
from skiploop.engine.batching.rows import Row
from skiploop.engine.batching.starts import KnownStarts
from skiploop.engine.continuous import ContinuousBatch, Job
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.engine.options import Options
from skiploop.errors import BatchError


def job_of(batch, request):
    tokens = batch.tokens(request.prompt)
    return Job(request.number, tokens, request.program, request.options, request.seed)


class Run:
    """A batch, and what every request has got."""

    def __init__(self, stack):
        self.stack = stack
        self.batch = ContinuousBatch(stack)
        self.tokens = {}
        self.logprobs = {}
        self.finished = {}

    def start(self, some):
        for column in self.batch.start([job_of(self.batch, request) for request in some]):
            self._note(column)

    def step(self):
        self._note(self.batch.step())

    def finish(self):
        while self.batch.numbers:
            self.step()

    def _note(self, column):
        for row, token, logprob in zip(
            column.rows, column.tokens_B.tolist(), column.logprobs_B.tolist(), strict=True
        ):
            self.tokens.setdefault(row, []).append(token)
            self.logprobs.setdefault(row, []).append(logprob)
        self.finished |= column.finished

    def check(self, some):
        for request in some:
            alone, found = request.alone(self.stack), self.finished[request.number]
            assert tuple(self.tokens[request.number]) == found.token_ids == alone.token_ids
            assert (found.text, found.program) == (alone.text, alone.program)
            assert found.stopped_by == alone.stopped_by
            assert sum(self.logprobs[request.number]) == pytest.approx(alone.logprob, abs=1e-2)


def by_length(longest=None):
    """A choice that the states of a prompt make: by how long it is."""
    programs = [PROGRAMS[1], PROGRAMS[0]]  # both run the first layer once
    return PrefillChoice(1, lambda _, states: [programs[len(s) % 2] for s in states], longest)


def run_at_random(stack, some, seed):
    draw, run, waiting = random.Random(seed), Run(stack), list(some)
    while waiting or run.batch.numbers:
        if waiting and (not run.batch.numbers or draw.random() < 0.4):
            n = draw.randint(1, 3)
            run.start(waiting[:n])
            waiting = waiting[n:]
        if run.batch.numbers:
            run.step()
    run.check(some)


@pytest.mark.parametrize("family", ["llama", "gemma2", "lfm2"])
def test_requests_that_start_at_any_time_get_what_they_get_alone(family):
    run_at_random(load(family), requests_of(seed=5, n=12), seed=1)


def test_programs_are_chosen_while_the_prompts_run_beside_others_that_are_known():
    stack, late = load("llama"), by_length(PROGRAMS[1])
    some = requests_of(seed=2, n=10)
    for request in some[::2]:
        request.program = late
    run_at_random(stack, some, seed=2)


def test_rows_that_outgrow_their_rotary_tables_go_on_with_others():
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
    settings = COMMON | {"max_position_embeddings": 16, "rope_parameters": dynamic}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type="llama", **settings))
    redraw(model, seed=1)
    stack = skiploop.load(model.eval(), tokenizer=tokenizer())
    assert stack.rotary_switches
    run_at_random(stack, requests_of(seed=3, n=8), seed=3)


SOLVED = "1+1=2, 2+2=4, 3+1=4, 5+2=7, "


def wave_of(number, start, n=6):
    """Requests under several programs whose prompts start alike."""
    options = Options(max_new_tokens=6)
    programs = [*PROGRAMS[:3], by_length(PROGRAMS[1])]
    return [
        Request(100 * number + i, f"{start}{i}+{number}=", programs[i % 4], options)
        for i in range(n)
    ]


def test_what_prompts_start_with_runs_once_for_those_that_come_later_too():
    stack = load("llama")
    waves = [
        wave_of(0, SOLVED),
        wave_of(1, SOLVED),
        wave_of(2, "hello there, "),
        wave_of(3, SOLVED),
    ]
    run, n_run = Run(stack), []
    for wave in waves:
        before = stack.work.n_layer_tokens
        run.start(wave)
        n_run.append(stack.work.n_layer_tokens - before)
        run.step()
    run.finish()
    run.check([request for wave in waves for request in wave])
    assert n_run[1] == n_run[3] < n_run[0] / 2


def test_starts_that_came_last_are_known_and_a_much_longer_one_is_better():
    stack = load("llama")
    starts = KnownStarts(stack)

    def of(*texts):
        rows = [Row(i, tokens, PROGRAMS[0]) for i, tokens in enumerate(encode(stack, texts))]
        return [(start.n_tokens, [row.index for row in some]) for start, some in starts.parts(rows)]

    few, many = SOLVED[:7], SOLVED
    assert of(f"{few}a", f"{few}b") == [(7, [0, 1])]
    assert of(f"{few}c", "none of it") == [(7, [0]), (0, [1])]
    assert of(f"{many}a", f"{many}b", f"{few}d") == [(7, [0, 1, 2])]
    assert of(f"{many}a", f"{many}b") == [(len(many), [0, 1])]
    assert of(f"{few}c", f"{many}c") == [(len(many), [1]), (7, [0])]
    assert of("hello a", "hello b") == [(6, [0, 1])]
    assert of(f"{many}c") == [(7, [0])]  # two are known, those that were used last


def test_what_is_dropped_frees_its_memory_at_once_and_changes_nobody():
    stack, options = load("llama"), Options(max_new_tokens=12)
    some = [Request(i, "the end" * (1 + i), PROGRAMS[i], options) for i in range(4)]
    run = Run(stack)
    run.start(some)
    before = run.batch.n_bytes()
    run.step()
    run.batch.drop([3])
    assert run.batch.n_bytes() < before and 3 not in run.batch.numbers
    run.finish()
    assert 3 not in run.finished and run.batch.n_bytes() == 0
    run.check(some[:3])


def test_what_fits_is_known_before_the_prompts_run_and_can_start():
    stack, options = load("llama"), Options(max_new_tokens=20)
    stack.memory = 2 * 3 * 6 * (20 + 22) * stack.token_bytes
    batch = ContinuousBatch(stack)
    jobs = [job_of(batch, Request(i, "hello there", PROGRAMS[0], options)) for i in range(20)]
    n_fitting = next(n for n in range(1, 20) if not batch.fits(jobs[: n + 1]))
    assert n_fitting >= 3
    batch.start(jobs[:1])
    batch.step()
    batch.start(jobs[1:n_fitting])
    assert not batch.fits(jobs[n_fitting : n_fitting + 1])
    while batch.numbers:
        batch.step()
    assert batch.fits(jobs[n_fitting : n_fitting + 1])


def test_a_prompt_that_is_too_long_or_empty_is_refused_before_it_waits():
    batch, options = ContinuousBatch(load("llama")), Options(max_new_tokens=1)
    long = job_of(batch, Request(0, "a" * 128, PROGRAMS[0], options))
    assert batch.n_room(long.tokens) == 0
    with pytest.raises(BatchError, match="takes 128 in all"):
        batch.check(long)
    with pytest.raises(BatchError, match="no tokens"):
        batch.tokens("")
