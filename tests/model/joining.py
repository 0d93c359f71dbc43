"""Requests that join a batch while it runs and leave it, each against itself alone."""

import random
from dataclasses import dataclass

import pytest
from families import N_LAYERS

from skiploop.engine.batching.encoding import encode
from skiploop.engine.batching.prefix import no_prefix
from skiploop.engine.batching.rows import Row
from skiploop.engine.decoding.batch import DecodeBatch
from skiploop.engine.decoding.drafts import check_drafts
from skiploop.engine.decoding.prefill import first_pass
from skiploop.engine.decoding.row_state import RowState, TokenWriter
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.programs.program import Program

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "0:2x0 3:5x0", "5:6x0", "2:4x3~0.5")
]
PROMPTS = ["the end", "12+7=", "a", "hello there, you? and on and on", "3*4=\n", "on the one"]


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
