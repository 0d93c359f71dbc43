"""A server among clients of all sorts: whoever behaves is answered right, whatever others do."""

import gc
import itertools
import json
import logging
import os
import random
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from joining import PROGRAMS, PROMPTS
from serving import raw, request_bytes, served, stack_with_template

from skiploop import Program
from skiploop.engine.sampling import Sampling
from skiploop.server.limits import Limits

N_REQUESTS = int(os.environ.get("SKIPLOOP_STRESS", "400"))
"""Of all sorts together; with --log-cli-level=INFO what they come to is told."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * N_REQUESTS)]
N_PARTS = 10
"""Between which memory is looked at."""
N_CLIENTS = 24
PATIENCE_S = 120
PATH = "/v1/completions"
MOST_GROWTH = 64 * 2**20

_log = logging.getLogger(__name__)


def well(port, draw, found):
    """Ask as one should, whole or streamed, and note the answer."""
    fields = {
        "prompt": draw.choice(PROMPTS),
        "program": str(draw.choice(PROGRAMS)),
        "max_tokens": draw.randint(1, 24),
    }
    if draw.random() < 0.3:
        fields |= {"temperature": 0.8, "seed": draw.randrange(1000)}
    stream = draw.random() < 0.5
    reply = raw_to_end(port, request_bytes(PATH, fields | {"stream": stream}, Connection="close"))
    head, _, body = reply.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 429"):
        time.sleep(0.2)
        well(port, draw, found)
        return
    assert head.startswith(b"HTTP/1.1 200"), reply[:300]
    found.append((fields, streamed(body) if stream else json.loads(body)["choices"][0]["text"]))


def raw_to_end(port, text):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def streamed(body):
    """Return the text of a stream; it came to its end."""
    lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    assert lines[-1] == b"[DONE]", body[-300:]
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1])


def gone(port, draw, _):
    """Ask for much and go away at some moment."""
    fields = {"prompt": draw.choice(PROMPTS), "max_tokens": 90, "stream": draw.random() < 0.5}
    with suppress(TimeoutError):
        raw(port, request_bytes(PATH, fields), timeout=draw.uniform(0.001, 0.3))


def half(port, draw, _):
    """Send a part of a request and go away."""
    text = request_bytes(PATH, {"prompt": "the end"})
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(text[: draw.randrange(len(text))])


def slow(port, draw, _):
    """Send a body by drops, and read the answer by drops."""
    text = request_bytes(PATH, {"prompt": "the end", "stream": True}, Connection="close")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        for start in range(0, len(text), 40):
            connection.sendall(text[start : start + 40])
            time.sleep(0.01)
        for _ in range(20):
            connection.recv(16)
            time.sleep(0.01)


def oversize(port, draw, _):
    """Send more than the server takes."""
    with suppress(ConnectionError):
        text = request_bytes(PATH, {"prompt": "a" * draw.randint(30_000, 300_000)})
        reply = raw(port, text, timeout=PATIENCE_S)
        assert reply.startswith(b"HTTP/1.1 413")


def broken(port, draw, _):
    """Send what is no request of this server."""
    bodies = [b"{", b"[]", b"null", b"\xff", b'{"prompt": 5}', b'{"nothing": 1}', b"[" * 9000]
    reply = raw(port, request_bytes(PATH, draw.choice(bodies)), timeout=PATIENCE_S)
    assert reply.startswith(b"HTTP/1.1 400")
    assert b"Traceback" not in reply and b"/home" not in reply


SORTS = [well, well, well, gone, gone, half, slow, oversize, broken]


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def settled(service):
    deadline = time.monotonic() + 60
    while service.metrics.running._value.get() or service.metrics.waiting._value.get():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_answer_is_right_none_is_lost_and_memory_is_flat():
    stack, found = stack_with_template(), []
    limits = Limits(rows=8, waiting=64, new_tokens=100, body_bytes=20_000)
    with served(stack, limits=limits) as (service, port):

        def work(numbers):
            for number in numbers:
                draw = random.Random(number)
                draw.choice(SORTS)(port, draw, found)

        def run(first, n):
            with ThreadPoolExecutor(N_CLIENTS) as pool:
                parts = [range(first + i, first + n, N_CLIENTS) for i in range(N_CLIENTS)]
                for done in [pool.submit(work, part) for part in parts]:
                    done.result()
            settled(service)

        places = [N_REQUESTS * part // N_PARTS for part in range(N_PARTS + 1)]
        sizes, n_threads = [], []
        for start, stop in itertools.pairwise(places):
            run(start, stop - start)
            sizes.append(resident_bytes())
            n_threads.append(threading.active_count())
            _log.info("%d requests, memory %.1f MB", stop, sizes[-1] / 1e6)
        assert service.metrics.kv_bytes._value.get() == 0
    growth = statistics.linear_regression(places[2:], sizes[1:]).slope  # the first part warms up
    n_well = sum(random.Random(number).choice(SORTS) is well for number in range(N_REQUESTS))
    _log.info(
        "%d requests, %d of them to be answered, %d answered; memory %.1f to %.1f MB, %+.0f bytes "
        "a request",
        *(N_REQUESTS, n_well, len(found), sizes[0] / 1e6, sizes[-1] / 1e6, growth),
    )
    assert len(found) == n_well
    assert growth * (places[-1] - places[1]) < MOST_GROWTH
    assert n_threads[-1] <= n_threads[0]
    expected = {}
    for fields, text in found:
        key = tuple(fields.values())
        if key not in expected:
            expected[key] = alone(stack, **fields)
        assert text == expected[key], fields


def alone(stack, prompt, program, max_tokens, temperature=0.0, seed=0):
    """Return what the stack writes without a server."""
    settings = {}
    if temperature:
        settings = {"sampling": Sampling(temperature=temperature), "seeds": [seed]}
    chosen = Program.parse(program, stack.n_layers)
    (completion,) = stack.generate([prompt], chosen, max_new_tokens=max_tokens, **settings)
    return completion.text
