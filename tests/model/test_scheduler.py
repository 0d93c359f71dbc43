"""Answers of a server's scheduler, each against the same request alone."""

import threading
import time

import pytest
from families import load
from joining import PROGRAMS, PROMPTS, requests_of
from test_continuous import by_length

from skiploop.engine.options import Options
from skiploop.server.errors import ApiError
from skiploop.server.events import Ask, Ended, Failed, Written
from skiploop.server.limits import Limits
from skiploop.server.metrics import Metrics
from skiploop.server.scheduler import Scheduler
from skiploop.server.variants import FixedVariant, PrefillVariant


class Client:
    """Waits for the answers of one request."""

    def __init__(self, scheduler, asks):
        self.events = {}
        self._left = set(range(len(asks)))
        self._is_done = threading.Event()
        self.ticket = scheduler.submit(asks, self._tell)

    def _tell(self, place, event):
        self.events.setdefault(place, []).append(event)
        if isinstance(event, Ended | Failed):
            self._left.discard(place)
        if not self._left:
            self._is_done.set()

    def last(self, place=0):
        assert self._is_done.wait(60)
        return self.events[place][-1]

    def answer(self, place=0):
        last = self.last(place)
        assert isinstance(last, Ended), last.error.message
        return last.completion

    def error(self, place=0):
        last = self.last(place)
        assert isinstance(last, Failed)
        return last.error

    def text(self, place=0):
        self.last(place)
        parts = [e if isinstance(e, Written) else e.last for e in self.events[place]]
        return "".join(part.text for part in parts)


def ask(request, **more):
    variant = FixedVariant("tiny", request.program)
    return Ask(
        prompt=request.prompt,
        field="prompt",
        variant=variant,
        options=request.options,
        seed=request.seed,
        **more,
    )


def plain(prompt="the end", n=8, **more):
    options = Options(max_new_tokens=n)
    return Ask(
        prompt=prompt,
        field="prompt",
        variant=FixedVariant("tiny", PROGRAMS[0]),
        options=options,
        **more,
    )


@pytest.fixture
def serving():
    """Starts schedulers, and stops them."""
    started = []

    def serve(stack, **limits):
        one = Scheduler(stack, Limits(**limits), Metrics(), name="tiny")
        one.start()
        started.append(one)
        return one

    yield serve
    for one in started:
        one.close()


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_every_answer_is_that_of_its_request_alone_whatever_runs_beside_it(serving, family):
    stack, some = load(family), requests_of(seed=4, n=24)
    scheduler = serving(stack, rows=6)
    clients = []
    for i, request in enumerate(some):
        clients.append(Client(scheduler, [ask(request, is_streamed=i % 2 == 0)]))
        if i % 5 == 4:
            gone = Client(scheduler, [plain(PROMPTS[3], 60)])
            time.sleep(0.02)
            scheduler.cancel(gone.ticket)
    found = [client.answer() for client in clients]
    texts = [client.text() for client in clients]
    scheduler.close()
    for request, one, text in zip(some, found, texts, strict=True):
        alone = request.alone(stack)
        assert (one.token_ids, one.text, one.stopped_by) == (
            alone.token_ids,
            alone.text,
            alone.stopped_by,
        )
        assert text == alone.text


def test_a_policy_chooses_while_the_prompt_runs_and_its_time_is_told(serving):
    stack, late = load("llama"), by_length(PROGRAMS[1])
    variant = PrefillVariant("auto", None, late)
    options = Options(max_new_tokens=6)
    asks = [Ask(prompt=p, field="prompt", variant=variant, options=options) for p in PROMPTS]
    scheduler = serving(stack)
    client = Client(scheduler, [*asks, plain()])
    ended = [client.last(place) for place in range(len(asks))]
    scheduler.close()
    for prompt, one in zip(PROMPTS, ended, strict=True):
        (alone,) = stack.generate([prompt], late, max_new_tokens=6)
        assert (one.completion.text, one.completion.program) == (alone.text, alone.program)
        assert one.choosing_s > 0


def test_log_probabilities_and_pieces_are_those_of_the_tokens(serving):
    scheduler = serving(load("llama"))
    client = Client(scheduler, [plain(n=6, is_streamed=True, with_pieces=True)])
    completion = client.answer()
    parts = [e if isinstance(e, Written) else e.last for e in client.events[0]]
    assert sum(sum(part.logprobs) for part in parts) == pytest.approx(completion.logprob, abs=1e-4)
    assert [len(part.pieces) for part in parts] == [1] * 6
    assert "".join(piece for part in parts for piece in part.pieces) == completion.text


def test_what_is_cancelled_is_told_of_no_more_and_frees_its_place_at_once(serving):
    scheduler = serving(load("llama"), rows=1)
    gone = Client(scheduler, [plain(n=100, is_streamed=True)])
    while not gone.events:
        time.sleep(0.005)
    scheduler.cancel(gone.ticket)
    assert Client(scheduler, [plain(n=3)]).answer()
    assert not any(isinstance(e, Ended | Failed) for e in gone.events[0])
    assert len(gone.events[0]) < 99


def test_a_full_line_says_when_to_ask_again(serving):
    scheduler = serving(load("llama"), rows=1, waiting=2)
    clients = []
    with pytest.raises(ApiError) as refused:
        for _ in range(50):
            clients.append(Client(scheduler, [plain(n=60)]))
    assert refused.value.status == 429
    assert int(refused.value.headers["retry-after"]) >= 1
    assert all(client.answer() for client in clients)


def test_what_is_not_complete_in_time_is_told_so_and_the_others_go_on(serving):
    scheduler = serving(load("llama"), rows=1, seconds=0.4)
    long = [Client(scheduler, [plain(n=120)]) for _ in range(40)]
    errors = [client.last().error for client in long if isinstance(client.last(), Failed)]
    assert errors and {error.status for error in errors} == {504}
    assert Client(scheduler, [plain(n=2)]).answer()


def test_a_prompt_that_cannot_be_answered_is_refused_with_its_field_and_no_path(serving):
    stack = load("llama")
    stack.name = "/home/somebody/model"
    scheduler = serving(stack, prompt_tokens=60)
    for prompt, n, message in (
        ("a" * 61, 1, "the prompt has 61 tokens: give 60 at most"),
        ("a" * 60, 100, "60 tokens and may get 100 more, but tiny takes 128 in all"),
        ("", 1, "no tokens"),
    ):
        error = Client(scheduler, [plain(prompt, n)]).error()
        assert error.status == 400 and message in error.message
        assert "/home" not in error.message
    shortened = Client(scheduler, [plain("a" * 60, 100, is_shortened=True)]).answer()
    assert len(shortened.token_ids) == 68


def test_a_failure_of_the_model_fails_what_runs_and_nothing_else(serving, monkeypatch):
    scheduler = serving(load("llama"), rows=1)
    step, n_calls = scheduler._batch.step, []

    def breaks():
        n_calls.append(1)
        if len(n_calls) == 3:
            raise RuntimeError("/home/somebody/secret")
        return step()

    monkeypatch.setattr(scheduler._batch, "step", breaks)
    first, second = (Client(scheduler, [plain(n=10)]) for _ in range(2))
    assert first.error().status == 500 and "secret" not in first.error().message
    assert len(second.answer().token_ids) == 10


def test_memory_that_is_short_lets_requests_wait_and_all_are_answered(serving):
    stack, some = load("llama"), requests_of(seed=9, n=16)
    stack.memory = 2 * 3 * 8 * 110 * stack.token_bytes
    scheduler = serving(stack)
    clients = [Client(scheduler, [ask(request)]) for request in some]
    found = [client.answer().token_ids for client in clients]
    scheduler.close()
    assert found == [request.alone(stack).token_ids for request in some]


def test_whoever_waits_when_the_server_stops_is_told():
    scheduler = Scheduler(load("llama"), Limits(rows=1), Metrics(), name="tiny")
    scheduler.start()
    clients = [Client(scheduler, [plain(n=100)]) for _ in range(4)]
    scheduler.close()
    assert clients[-1].error().status == 503
    with pytest.raises(ApiError, match="is stopping"):
        Client(scheduler, [plain()])


def test_calls_run_in_the_thread_of_the_model(serving):
    scheduler = serving(load("llama"))
    assert scheduler.call(lambda: threading.current_thread().name).result(10) == "skiploop-model"
    with pytest.raises(ApiError):
        scheduler.call(lambda: 1 / 0).result(10)
