"""Continuous batching: requests under different programs, in one copy of the model.

One thread owns the model. Between two tokens it lets requests in and out: those that came, those
that nobody waits for any more, those whose time is up.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from skiploop.engine.completion import Completion
from skiploop.engine.continuous import ContinuousBatch, Job
from skiploop.engine.decoding.row_state import TokenColumn
from skiploop.errors import BatchError, ProgramError, one_line
from skiploop.server.errors import ApiError, broken, closing, no_numbers, too_busy, too_late, wrong
from skiploop.server.events import Ask, Ended, Failed, Tell, Ticket, Written
from skiploop.server.limits import Limits
from skiploop.server.line import Line
from skiploop.server.metrics import Metrics
from skiploop.stack import LayerStack

STEPS_BETWEEN = 4
"""Tokens that all rows get before others may join, as that costs a copy of what is running; where
as many wait as run, it is worth that at once."""

ARRIVALS = 64
"""Requests that are read between two tokens."""

PROMPT_TOKENS = 2048
"""Of prompts that run at once, while the others wait; a single prompt may be longer."""

_LONGEST_S = 60  # what a client is told to wait at most

_log = logging.getLogger("skiploop")
_Result = TypeVar("_Result")


@dataclass(eq=False)
class _Request:
    """One answer on its way."""

    ask: Ask
    place: int
    tell: Tell
    number: int
    arrived: float
    n_passed: int = 0
    job: Job = field(init=False)
    choosing_s: float = 0.0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    n_told: int = 0
    n_characters: int = 0

    @property
    def n_tokens(self) -> int:
        return len(self.job.tokens)


class _Call(NamedTuple):
    """What is to run in the model's thread, and who waits for it."""

    future: Future[Any]
    function: Callable[[], Any]


class Scheduler:
    """Lets requests into the batch of one model, fairly and within limits.

    Args:
        stack: The model; from `start` to `close` nobody else uses it.
        limits: What is taken on.
        metrics: Is told what is done.
        name: The model's name, in place of that of the stack, in what clients are told.

    Guarantees:
        In float32 every answer is that of `LayerStack.generate` for it alone, whatever runs, ends
        or is cancelled beside it (tests/model/test_scheduler.py).
    """

    def __init__(self, stack: LayerStack, limits: Limits, metrics: Metrics, *, name: str) -> None:
        self._stack = stack
        self._limits = limits
        self._metrics = metrics
        self._name = name
        self._batch = ContinuousBatch(stack)
        self._line: Line[_Request] = Line()
        self._running: dict[int, _Request] = {}
        self._n_steps = STEPS_BETWEEN
        self._thread = threading.Thread(target=self._run, name="skiploop-model", daemon=True)
        self._changed = threading.Condition()  # guards what follows
        self._arrived: list[_Request] = []
        self._cancelled: set[int] = set()
        self._calls: list[_Call] = []
        self._n_waiting = 0
        self._next_number = 0
        self._oldest: float | None = None
        self._is_closing = False

    @property
    def is_working(self) -> bool:
        """Whether answers are written."""
        return self._thread.is_alive() and not self._is_closing

    def start(self) -> None:
        """Start to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop; whoever still waits is told so."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def submit(self, asks: Sequence[Ask], tell: Tell) -> Ticket:
        """Take a request for some answers; `tell` is told of each until it has ended or failed.

        Raises:
            ApiError: Too many are waiting, or the server stops.
        """
        now = time.monotonic()
        with self._changed:
            if self._is_closing:
                raise closing()
            if self._n_waiting + len(asks) > self._limits.waiting:
                waited = 0.0 if self._oldest is None else now - self._oldest
                raise too_busy(self._n_waiting, min(max(1, math.ceil(waited)), _LONGEST_S))
            requests = [
                _Request(ask, place, tell, self._next_number + place, now)
                for place, ask in enumerate(asks)
            ]
            self._next_number += len(asks)
            self._n_waiting += len(asks)
            self._arrived += requests
            self._changed.notify()
        return frozenset(request.number for request in requests)

    def cancel(self, ticket: Ticket) -> None:
        """Forget answers that nobody waits for; those that have ended already do not mind."""
        with self._changed:
            self._cancelled |= ticket
            self._changed.notify()

    def call(self, function: Callable[[], _Result]) -> Future[_Result]:
        """Run a function in the thread that owns the model, between two tokens.

        Raises:
            ApiError: Too many are waiting, or the server stops.
        """
        future: Future[_Result] = Future()
        with self._changed:
            if self._is_closing:
                raise closing()
            if len(self._calls) == self._limits.waiting:
                raise too_busy(len(self._calls), 1)
            self._calls.append(_Call(future, function))
            self._changed.notify()
        return future

    def _run(self) -> None:
        """Work until the server stops."""
        while self._wait():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - the others go on
                self._start_again(error)
            self._measure()
        self._fail([*self._running.values(), *self._line, *self._arrived], closing())
        for call in self._calls:
            call.future.set_exception(closing())

    def _wait(self) -> bool:
        """Wait until there is something to do; False if the server stops."""
        with self._changed:
            while not (self._is_closing or self._arrived or self._calls or self._has_work()):
                self._cancelled.clear()
                self._changed.wait()
            return not self._is_closing

    def _has_work(self) -> bool:
        return bool(self._running or len(self._line))

    def _turn(self) -> None:
        """Let requests out and in, then write one token for each that runs."""
        with self._changed:
            cancelled, self._cancelled = self._cancelled, set()
            arrived = [one for one in self._arrived if one.number not in cancelled]
            arrived, self._arrived = arrived[:ARRIVALS], arrived[ARRIVALS:]
            calls, self._calls = self._calls[:1], self._calls[1:]
        for request in arrived:
            self._prepare(request)
        self._let_out(cancelled)
        for call in calls:
            self._do(call)
        if len(self._line) >= len(self._running) or self._n_steps >= STEPS_BETWEEN:
            self._let_in()
        self._measure()
        if self._running:
            self._note(self._batch.step())
            self._n_steps += 1

    def _do(self, call: _Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            call.future.set_result(call.function())
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            call.future.set_exception(self._told(error))

    def _prepare(self, request: _Request) -> None:
        """Tokenize a prompt and let its request wait, or say why it cannot be answered."""
        try:
            request.job = self._job(request)
            self._batch.check(request.job)
        except Exception as error:  # noqa: BLE001 - its client is told, the others go on
            self._fail([request], self._told(error, request.ask.field))
        else:
            self._line.add(request)

    def _job(self, request: _Request) -> Job:
        ask, most = request.ask, self._limits.prompt_tokens
        tokens = self._batch.tokens(ask.prompt)
        n_room = self._batch.n_room(tokens)
        n_new = ask.options.max_new_tokens
        if len(tokens) > most:
            raise wrong(ask.field, f"the prompt has {len(tokens)} tokens: give {most} at most")
        if n_room is not None and n_room < (1 if ask.is_shortened else n_new):
            raise wrong(
                ask.field,
                f"the prompt has {len(tokens)} tokens and may get {n_new} more, but {self._name} "
                f"takes {len(tokens) + n_room} in all: shorten it or lower max_tokens",
            )
        options = ask.options
        if n_room is not None and n_room < n_new:
            options = replace(options, max_new_tokens=n_room)
        started = time.perf_counter()
        program = ask.variant.program(ask.prompt)
        request.choosing_s = time.perf_counter() - started
        return Job(request.number, tokens, program, options, ask.seed)

    def _let_out(self, cancelled: set[int]) -> None:
        """Let go of requests that were cancelled, or whose time is up."""
        now = time.monotonic()

        def is_late(request: _Request) -> bool:
            return now - request.arrived > self._limits.seconds

        self._line.leave(lambda request: request.number in cancelled)
        late = self._line.leave(is_late)
        late += [request for request in self._running.values() if is_late(request)]
        dropped = {request.number for request in late} | cancelled
        if running := dropped.intersection(self._running):
            self._batch.drop(running)
        self._fail(late, too_late(self._limits.seconds))
        for number in running:
            self._running.pop(number, None)

    def _let_in(self) -> None:
        """Start the requests that are next and fit."""
        taken = self._line.take(
            lambda some: self._batch.fits([one.job for one in some]),
            self._limits.rows - len(self._running),
            PROMPT_TOKENS,
        )
        if not taken:
            return
        self._n_steps = 0
        self._running.update({request.number: request for request in taken})
        try:
            columns = self._batch.start([one.job for one in taken])
        except Exception as error:  # noqa: BLE001 - their clients are told, the others go on
            self._batch.drop({one.number for one in taken}.intersection(self._batch.numbers))
            self._fail(taken, self._told(error))
            return
        now = time.monotonic()
        for request in taken:
            request.choosing_s += request.ask.variant.chosen_in(request.number)
            self._metrics.first_token.observe(now - request.arrived)
        for column in columns:
            self._note(column)

    def _note(self, column: TokenColumn) -> None:
        """Tell what was written."""
        tokens, logprobs = column.tokens_B.tolist(), column.logprobs_B.tolist()
        for number, token, logprob in zip(column.rows, tokens, logprobs, strict=True):
            request = self._running[number]
            request.tokens.append(token)
            request.logprobs.append(logprob)
            if number in column.finished:
                self._end(request, column.finished[number])
            elif request.ask.is_streamed:
                text = self._batch.writer(request.job.options).sure_text(request.tokens)
                request.tell(request.place, self._written(request, text))

    def _written(self, request: _Request, text: str) -> Written:
        """Return what of an answer was not told before."""
        new = slice(request.n_told, None)
        pieces: list[str] = []
        if request.ask.with_pieces:
            pieces = self._batch.writer(request.job.options).pieces(request.tokens[new])
        logprobs = tuple(request.logprobs[new])
        written = Written(text[request.n_characters :], tuple(pieces), logprobs)
        request.n_told, request.n_characters = len(request.tokens), len(text)
        return written

    def _end(self, request: _Request, completion: Completion) -> None:
        """Tell that an answer has ended."""
        del self._running[request.number]
        if completion.stopped_by == "nan":
            self._fail([request], no_numbers())
            return
        last = self._written(request, completion.text)
        request.tell(request.place, Ended(last, completion, request.n_tokens, request.choosing_s))
        n_new, metrics = len(completion.token_ids), self._metrics
        metrics.answers.labels(completion.stopped_by).inc()
        metrics.prompt_tokens.inc(request.n_tokens)
        metrics.new_tokens.inc(n_new)
        metrics.layer_passes.inc(n_new * completion.program.n_slots)
        metrics.plain_passes.inc(n_new * completion.program.n_layers)
        metrics.whole_answer.observe(time.monotonic() - request.arrived)

    def _fail(self, requests: Sequence[_Request], error: ApiError) -> None:
        """Tell that there will be no answers."""
        for request in requests:
            self._running.pop(request.number, None)
            self._metrics.answers.labels(error.code or "refused").inc()
            request.tell(request.place, Failed(error))

    def _told(self, error: Exception, field: str | None = None) -> ApiError:
        """Return what a client is told about an error, of a field if it is one's fault."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, (BatchError, ProgramError)):  # others may name files
            return wrong(field, one_line(error).replace(self._stack.name, self._name))
        _log.error("a request failed", exc_info=error)
        return broken()

    def _start_again(self, error: Exception) -> None:
        """Fail all that is running, as nobody knows what is left of it; the others go on."""
        error_told = self._told(error)
        self._batch = ContinuousBatch(self._stack)
        self._fail(list(self._running.values()), error_told)

    def _measure(self) -> None:
        """Note how much is running and waiting."""
        with self._changed:
            self._n_waiting = len(self._arrived) + len(self._line)
            self._oldest = next((request.arrived for request in self._line), None)
        self._metrics.waiting.set(self._n_waiting)
        self._metrics.running.set(len(self._running))
        self._metrics.kv_bytes.set(self._batch.n_bytes())
