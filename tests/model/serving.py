"""A server in a thread, on a tiny random model, and clients that misbehave."""

import copy
import json
import socket
import threading
import time
from contextlib import contextmanager

from families import build, tokenizer

import skiploop
from skiploop.server.app import bound, make_app, server_of
from skiploop.server.service import make_service

TEMPLATE = (
    "{% for m in messages %}{{ m['role'][0] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}a: {% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
)


def stack_with_template(template=TEMPLATE, family="llama"):
    """Return a tiny stack whose tokenizer, of its own, has a chat template."""
    own = copy.deepcopy(tokenizer())
    own.chat_template = template
    return skiploop.load(build(family), tokenizer=own, verify=False)


@contextmanager
def served(stack, policies=None, *, app_of=make_app, **settings):
    """Serve a stack as `tiny`; give the service and its address."""
    service = make_service(stack, "tiny", policies, **settings)
    server = server_of(app_of(service), service)
    sock = bound("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline and thread.is_alive()
        time.sleep(0.01)
    try:
        yield service, sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()
        assert not thread.is_alive()


def raw(port, text, *, timeout=20):
    """Send bytes as they are and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
            if b"\r\n\r\n" in b"".join(parts) and is_whole(b"".join(parts)):
                break
    return b"".join(parts)


def is_whole(response):
    head, _, body = response.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


def request_bytes(path, body, **headers):
    """Return a POST request with a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": len(data)}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data
