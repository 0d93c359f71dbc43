"""HTTP: routes, keys, limits on bodies, streams, and clients that go away."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skiploop.errors import ConfigError, one_line
from skiploop.jsontext import json_text
from skiploop.programs.program import Program
from skiploop.server import metrics
from skiploop.server.answers import DONE, ChatForm, Form, TextForm, event_bytes, route_body
from skiploop.server.errors import ApiError, broken, wrong
from skiploop.server.events import Ask, Ended, Event, Failed, Written
from skiploop.server.lens import lens_body
from skiploop.server.protocol import Body, ChatBody, CompletionBody, RouteBody, Writing, read
from skiploop.server.service import Service
from skiploop.server.variants import Chooser
from skiploop.server.voting import voted_body, voters, voting_policy

GRACE_S = 10
"""Seconds for answers under way when the server stops."""

_Kind = TypeVar("_Kind", bound=Body)


def make_app(service: Service) -> FastAPI:
    """Return the application; it starts and stops the scheduler of its service."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.scheduler.start()
        yield
        await asyncio.to_thread(service.scheduler.close)

    app = FastAPI(title="skiploop", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Watched, service=service)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_exception_handler(ClientDisconnect, _nobody_there)
    app.add_exception_handler(Exception, _refused)

    @app.get("/health")
    async def health() -> Response:
        is_well = service.scheduler.is_working
        return JSONResponse({"status": "ok" if is_well else "down"}, 200 if is_well else 503)

    @app.get("/metrics")
    async def told(request: Request) -> Response:
        _check_key(service, request)
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        _check_key(service, request)
        return JSONResponse({"object": "list", "data": service.models()})

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> Response:
        _check_key(service, request)
        return JSONResponse(service.model(name))

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await _body(service, request, CompletionBody)
        asks = service.completion_asks(body)
        form = TextForm(asks[0].variant.name, with_logprobs=body.wants_logprobs)
        return await _answer(service, request, body, asks, form)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await _body(service, request, ChatBody)
        asks = service.chat_asks(body)
        form = ChatForm(asks[0].variant.name, with_logprobs=body.wants_logprobs)
        return await _answer(service, request, body, asks, form)

    @app.post("/v1/skiploop/route")
    async def route(request: Request) -> Response:
        variant, prompt = service.route(await _body(service, request, RouteBody))
        why = service.scheduler.call(lambda: variant.why(prompt))
        return JSONResponse(route_body(variant.name, await asyncio.wrap_future(why)))

    @app.post("/v1/skiploop/lens")
    async def lens(request: Request) -> Response:
        variant, prompt = service.route(await _body(service, request, RouteBody))

        def look() -> dict[str, object]:
            return lens_body(service.stack, prompt, variant.why(prompt).considered[0].program)

        return JSONResponse(await asyncio.wrap_future(service.scheduler.call(look)))

    return app


def bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address; port 0 takes a free one.

    Raises:
        ConfigError: The address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"host {host} with port {port} cannot be used ({one_line(error)}): give another port, "
            "or an address of this machine"
        ) from error
    return sock


def server_of(app: FastAPI, service: Service) -> uvicorn.Server:
    """Return what serves an application, `run(sockets=[...])` does it."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=service.limits.connections,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    return uvicorn.Server(config)


class Watched:
    """Counts what was answered, and gives up on clients that do not read."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_stuck = False

        async def send_in_time(message: Message) -> None:
            nonlocal is_stuck
            if message["type"] == "http.response.start":
                path = scope["route"].path if "route" in scope else "other"
                self._service.metrics.requests.labels(path, str(message["status"])).inc()
            if is_stuck:
                return
            try:
                async with asyncio.timeout(self._service.limits.seconds):
                    await send(message)
            except TimeoutError:
                is_stuck = True

        await self._app(scope, receive, send_in_time)


def _check_key(service: Service, request: Request) -> None:
    service.keys.check(request.headers.get("authorization"))


async def _body(service: Service, request: Request, kind: type[_Kind]) -> _Kind:
    """Return the body of a request that may ask; whoever may not is not listened to."""
    _check_key(service, request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(415, "the body is to be JSON: send 'Content-Type: application/json'")
    most, limit = service.limits.body_bytes, service.limits.seconds
    too_long = ApiError(413, f"the body is longer than {most} bytes: shorten it")
    given = request.headers.get("content-length", "0")
    if not given.isdecimal() or int(given[:20]) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(limit):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise too_long
    except TimeoutError as error:
        raise ApiError(408, f"the body did not arrive within {limit:g} s") from error
    return read(kind, bytes(body))


async def _answer(
    service: Service, request: Request, body: Writing, asks: Sequence[Ask], form: Form
) -> Response:
    """Return the answers to a request, whole or as a stream."""
    n = body.n or 1
    if policy := voting_policy(body, asks):
        return await _vote(service, request, body, policy, asks[0], form)
    events = _events(service, request, asks)
    if body.stream:
        first = await anext(events)  # what cannot be answered is an error, not a stream
        return StreamingResponse(
            _stream(first, events, form, n, wants_usage=body.wants_usage),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )
    ended = await _endings(events)
    whole = form.body(ended, _n_prompt_tokens(ended, n))
    return Response(json_text(whole), media_type="application/json")


async def _vote(
    service: Service, request: Request, body: Writing, policy: Chooser, ask: Ask, form: Form
) -> Response:
    """Return the answer of several programs."""
    n = body.vote or 1
    if n > service.limits.answers:
        raise wrong("vote", f"vote is {n}: this server asks {service.limits.answers} at most")

    def rank() -> tuple[Sequence[Program], float]:
        started = time.perf_counter()
        return policy.rank([ask.prompt], n)[0], time.perf_counter() - started

    programs, seconds = await asyncio.wrap_future(service.scheduler.call(rank))
    endings = await _endings(_events(service, request, voters(ask, programs, n)))
    endings = [replace(ended, choosing_s=seconds) for ended in endings]
    limit = body.abstain_below or 0.0
    told = await asyncio.to_thread(voted_body, form, policy, ask, endings, limit)
    return Response(json_text(told), media_type="application/json")


async def _endings(events: AsyncGenerator[tuple[int, Written | Ended]]) -> list[Ended]:
    """Return the ends of all answers, in their order."""
    endings: dict[int, Ended] = {}
    async with aclosing(events):
        async for place, event in events:
            if isinstance(event, Ended):
                endings[place] = event
    return [endings[place] for place in sorted(endings)]


async def _stream(
    first: tuple[int, Written | Ended],
    events: AsyncGenerator[tuple[int, Written | Ended]],
    form: Form,
    n: int,
    *,
    wants_usage: bool,
) -> AsyncIterator[bytes]:
    """Yield answers as server-sent events."""
    endings: dict[int, Ended] = {}
    n_before: dict[int, int] = {}

    def part(place: int, event: Written | Ended) -> bytes:
        is_first, before = place not in n_before, n_before.get(place, 0)
        written = event.last if isinstance(event, Ended) else event
        n_before[place] = before + sum(map(len, written.pieces))
        if isinstance(event, Ended):
            endings[place] = event
        return event_bytes(form.chunk(place, event, is_first=is_first, n_before=before))

    try:
        yield part(*first)
        async for place, event in events:
            yield part(place, event)
    except ApiError as error:
        yield event_bytes(error.body())
        return
    except ClientDisconnect:
        return
    finally:
        await events.aclose()
    ended = [endings[place] for place in sorted(endings)]
    if wants_usage:
        yield event_bytes(form.last_chunk(ended, _n_prompt_tokens(ended, n)))
    yield DONE


async def _events(
    service: Service, request: Request, asks: Sequence[Ask]
) -> AsyncGenerator[tuple[int, Written | Ended]]:
    """Yield what becomes of some answers, until all have ended or the client has gone.

    Raises:
        ApiError: One of them cannot be given.
        ClientDisconnect: Nobody waits for them any more.
    """
    inbox: asyncio.Queue[tuple[int, Event] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(place: int, event: Event) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(inbox.put_nowait, (place, event))

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        service.scheduler.cancel(ticket)
        inbox.put_nowait(None)

    ticket = service.scheduler.submit(asks, tell)
    watcher = asyncio.create_task(watch())
    try:
        n_left = len(asks)
        while n_left:
            told = await inbox.get()
            if told is None:
                raise ClientDisconnect
            place, event = told
            if isinstance(event, Failed):
                raise event.error
            n_left -= isinstance(event, Ended)
            yield place, event
    finally:
        watcher.cancel()
        service.scheduler.cancel(ticket)


def _n_prompt_tokens(endings: Sequence[Ended], n: int) -> int:
    """Return the tokens of the prompts, those with `n` answers counted once."""
    return sum(ended.n_prompt_tokens for ended in endings[::n])


async def _refused(_: Request, error: Exception) -> Response:
    told = error if isinstance(error, ApiError) else broken()
    return JSONResponse(told.body(), told.status, headers=told.headers)


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    told = ApiError(status, f"{request.method} on this path is not known: see /v1/models")
    return JSONResponse(told.body(), status)


async def _nobody_there(_: Request, __: Exception) -> Response:
    return Response(status_code=400)
