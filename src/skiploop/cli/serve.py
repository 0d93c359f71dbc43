"""`skiploop serve`: an OpenAI-compatible server in which a program is a variant of the model."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli.console import say
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import PATH, Dtype, ModelOfPolicy
from skiploop.errors import ConfigError, ProgramError
from skiploop.extras import brought_by
from skiploop.programs.program import Program


@with_groups
def serve(
    *,
    model: ModelOfPolicy = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A run folder, an exported one, a shipped policy or a program such as 3:5x0; may "
            "be given often. The first one answers where a request names no variant."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What requests call the model. [the end of its name]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address; others than this machine's need --keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(help="File of bearer keys, one a line; without it none is asked.", **PATH),
    ] = None,
    rows: Annotated[int, typer.Option(help="Answers that are written at once.", min=1)] = 64,
    waiting: Annotated[int, typer.Option(help="Answers that may wait; then 429.", min=1)] = 256,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.", min=1)] = 1024,
    max_prompt_tokens: Annotated[int, typer.Option(help="Most of a prompt.", min=1)] = 4096,
    max_body: Annotated[int, typer.Option(help="Most bytes of a request.", min=1)] = 256 * 1024,
    seconds: Annotated[
        float, typer.Option(help="For an answer, from the request to its end.", min=0.1)
    ] = 120.0,
    dtype: Dtype = None,
    machine: Machine,
) -> None:
    """Answer OpenAI's clients; every program and policy is a variant of the model.

    Example: skiploop serve --policy smollm2-135m/arithmetic

    Example: skiploop serve --model smollm2-135m --policy 3:5x0 --port 8080

    Requests name what runs: model="smollm2-135m:14:15x2", "smollm2-135m:auto" (the first policy) or
    the name of a policy. See docs/reference/server.md.
    """
    programs = [text for text in policy or () if _is_program(text)]
    names = [text for text in policy or () if text not in programs]
    if len(programs) > 1:
        raise ConfigError(
            f"--policy {programs[0]} and {programs[1]} are programs: give one; requests may name "
            "any other"
        )
    if not _is_loopback(host) and keys is None:
        raise ConfigError(
            f"--host {host}: everybody who reaches it could ask; give --keys FILE, one key a line"
        )
    with brought_by("serve", "skiploop serve needs fastapi, uvicorn and prometheus-client"):
        from skiploop.server.app import bound, make_app, server_of
    from skiploop.runs.ready import base_for, load_policy
    from skiploop.server.keys import read_keys
    from skiploop.server.limits import Limits
    from skiploop.server.service import make_service

    public = [_public(text) for text in names]
    if twice := [text for text in public if public.count(text) > 1]:
        raise ConfigError(f"two policies are called {twice[0]!r}: give folders of other names")
    limits = Limits(
        rows=rows,
        waiting=waiting,
        new_tokens=max_new_tokens,
        prompt_tokens=max_prompt_tokens,
        body_bytes=max_body,
        seconds=seconds,
    )
    opened = read_keys(keys) if keys else None
    base, made_in = base_for(names[0] if names else None, model, dtype)
    sock = bound(host, port)  # a port that is taken is told before the model is loaded
    stack = machine.load(base, made_in)
    called = name or Path(stack.name).name
    service = make_service(
        stack,
        called,
        {known: load_policy(text, stack) for known, text in zip(public, names, strict=True)},
        default=programs[0] if policy and programs[:1] == policy[:1] else None,
        limits=limits,
        keys=opened,
    )
    address = sock.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    sock.listen()  # from here on clients wait, and are not refused
    say(f"serving {called} at http://{shown}:{address[1]}/v1, Ctrl-C stops")
    server_of(make_app(service), service).run(sockets=[sock])


def _is_program(text: str) -> bool:
    """Whether a text is that of a program; what looks like one and is none is refused."""
    try:
        Program.read_edits(text)
    except ProgramError:
        if text[:1].isdigit() and ":" in text and not Path(text).exists():
            raise
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _public(policy: str) -> str:
    """Return what clients call a policy: its name, of a folder the last part."""
    from skiploop.shipped import shipped_policies

    return policy if policy in shipped_policies() else Path(policy).resolve().name
