"""Rows that join a batch while it runs, and rows that leave it, against each row alone."""

import random
from dataclasses import dataclass

import pytest
import torch
from families import MIXED_FAMILIES, N_LAYERS, load

from skiploop.engine.batching.encoding import encode
from skiploop.engine.batching.prefix import no_prefix
from skiploop.engine.batching.rows import Row
from skiploop.engine.decoding import group as engine_group
from skiploop.engine.decoding.batch import DecodeBatch
from skiploop.engine.decoding.cuda_graph import GraphStepper
from skiploop.engine.decoding.drafts import check_drafts
from skiploop.engine.decoding.prefill import first_pass
from skiploop.engine.decoding.row_state import RowState, TokenWriter
from skiploop.engine.forward.way import Way
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.errors import BatchError
from skiploop.programs.program import Program

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "0:2x0 3:5x0", "5:6x0", "2:4x3~0.5")
]
PROMPTS = ["the end", "12+7=", "a", "hello there, you? and on and on", "3*4=\n", "on the one"]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@dataclass
class Request:
    """What one caller of a server asks for."""

    number: int
    prompt: str
    program: Program
    options: Options
    seed: int = 0

    def alone(self, stack):
        """What it gets if nothing else runs."""
        settings = {name: getattr(self.options, name) for name in ("max_new_tokens", "stop")}
        if self.options.sampling:
            settings |= {"sampling": self.options.sampling, "seeds": [self.seed]}
        return stack.generate([self.prompt], self.program, **settings)[0]


def requests_of(seed, n):
    """Requests of all sorts; some end by their length, some by a string, some are drawn."""
    draw = random.Random(seed)
    sorts = [
        Options(max_new_tokens=9),
        Options(max_new_tokens=14, stop=["e", "0"]),
        Options(max_new_tokens=12, sampling=Sampling(temperature=0.7)),
        Options(max_new_tokens=5, sampling=Sampling(top_k=5)),
    ]
    return [
        Request(i, draw.choice(PROMPTS), draw.choice(PROGRAMS), sorts[i % len(sorts)], seed=i)
        for i in range(n)
    ]


def prefilled(stack, some):
    """Rows whose prompts have run, and the tokens and completions that came of it."""
    options = some[0].options
    writer = TokenWriter(stack, options)
    tokens = encode(stack, [request.prompt for request in some])
    rows = [
        Row(r.number, t, r.program, n_most=options.max_new_tokens, seed=r.seed)
        for r, t in zip(some, tokens, strict=True)
    ]
    first = first_pass(stack, rows, no_prefix(stack), saved=None, may_go_on=True)
    states = [RowState(row, writer, first.shape) for row in rows]
    (column,) = check_drafts(first.executor, first.states_RTD, states, writer)
    going_on = [i for i, row in enumerate(rows) if row.index not in column.finished]
    joining = first.continued(going_on, [states[i] for i in going_on]) if going_on else None
    return joining, column


class Run:
    """A batch, and what every row has got."""

    def __init__(self, stack):
        self.stack = stack
        self.batch = DecodeBatch()
        self.tokens = {}
        self.finished = {}

    def join(self, some):
        joining, column = prefilled(self.stack, some)
        self._note(column)
        if joining is not None:
            self.batch.join(joining)

    def step(self):
        self._note(self.batch.step())

    def finish(self):
        while self.batch.rows:
            self.step()

    def _note(self, column):
        for row, token in zip(column.rows, column.tokens_B.tolist(), strict=True):
            self.tokens.setdefault(row, []).append(token)
        self.finished |= column.finished

    def check(self, some, dropped=()):
        """All rows have written what they write alone, the dropped ones a part of it."""
        for request in some:
            alone, written = request.alone(self.stack), tuple(self.tokens[request.number])
            if request.number in dropped:
                assert written == alone.token_ids[: len(written)]
                assert request.number not in self.finished
                continue
            found = self.finished[request.number]
            assert written == found.token_ids == alone.token_ids
            assert (found.text, found.stopped_by) == (alone.text, alone.stopped_by)
            assert found.logprob == pytest.approx(alone.logprob, abs=1e-2)


def run_at_random(stack, seed, *, together=2):
    """Let requests join and leave at random steps, and compare each with itself alone."""
    draw = random.Random(seed)
    some = requests_of(seed, 12)
    waiting = [some[i::4] for i in range(4)]  # those with the same options
    run, dropped = Run(stack), []
    while any(waiting) or run.batch.rows:
        if any(waiting) and (not run.batch.rows or draw.random() < 0.4):
            sort = draw.choice([sort for sort in waiting if sort])
            n_more = min(together, len(sort))
            run.join([sort.pop() for _ in range(n_more)])
        if len(run.batch.rows) > 2 and (not dropped or draw.random() < 0.1):
            dropped.append(draw.choice(run.batch.rows))
            run.batch.drop(dropped[-1:])
        if run.batch.rows:
            run.step()
    run.check(some, dropped)
    return dropped


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_rows_that_join_and_leave_change_no_other_rows_tokens(family):
    assert run_at_random(load(family), seed=len(family))


@pytest.mark.parametrize("way", [Way.EQUAL, Way.RECOMPUTED])
def test_rows_join_where_only_rows_of_one_length_share_a_pass(way):
    stack = load("llama")
    stack.way = way
    run_at_random(stack, seed=3, together=1)


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
    run.tokens[0].pop()  # what the prompt told a second time
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
