"""Servers in processes of their own, and clients that ask them: for benchmarks of serving."""

import http.client
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

PATIENCE_S = 3600


@dataclass
class Server:
    """A server that listens."""

    port: int
    process: psutil.Process

    @property
    def cpu_s(self):
        """Processor seconds that it has taken."""
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass
class Turn:
    """What some requests came to.

    Attributes:
        answers: Texts with the seconds to the first token, by the place of the question.
        seconds: From the first request to the last answer.
        cpu_s: Of the server.
    """

    answers: dict[int, tuple[str, float]]
    seconds: float
    cpu_s: float

    @property
    def s_each(self):
        return self.seconds / len(self.answers)

    @property
    def cpu_s_each(self):
        return self.cpu_s / len(self.answers)


@contextmanager
def serving(command, log):
    """Run a command that serves at a port, which is added to it; give the server once it is up."""
    port = free_port()
    with log.open("a") as output:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=output, stderr=output)
    try:
        wait_until_up(process, port, log)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until_up(process, port, log):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("localhost", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


def posted(port, path, body):
    """Send a body; return the answer, which may be a stream."""
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE_S)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    return connection.getresponse()


def ask(port, prompt, n_tokens, **fields):
    """Return the text of one streamed answer, and the seconds to its first token."""
    body = {"prompt": prompt, "max_tokens": n_tokens, "stream": True, **fields}
    started = time.perf_counter()
    text, first = "", None
    with posted(port, "/v1/completions", body) as response:
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            first = time.perf_counter() - started if first is None else first
            text += json.loads(line[6:])["choices"][0]["text"]
    return text, first


def all_at_once(server, clients, n_tokens):
    """Let clients ask at once, each one question after the other.

    Args:
        server: What they ask.
        clients: The questions of each by their place, and the fields of its requests.
        n_tokens: Of an answer, at most.
    """
    started, cpu_s = time.perf_counter(), server.cpu_s

    def asked(client):
        own, fields = client
        return {i: ask(server.port, prompt, n_tokens, **fields) for i, prompt in own.items()}

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = {i: found for each in pool.map(asked, clients) for i, found in each.items()}
    return Turn(answers, time.perf_counter() - started, server.cpu_s - cpu_s)
