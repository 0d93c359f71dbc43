"""`skiploop studio`: the report of a run in a browser, with a playground on its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli.console import say
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import PATH
from skiploop.extras import brought_by


@with_groups
def studio(
    *,
    run: Annotated[Path, typer.Argument(help="Run folder: a search, a menu, or more.", **PATH)],
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8010,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.", min=1)] = 256,
    machine: Machine,
) -> None:
    """Look at a run in a browser and ask its model under several programs side by side.

    Only this machine can open it. Without a model, 'skiploop report RUN' makes the same pages.

    Example: skiploop studio RUN
    """
    with brought_by("studio", "skiploop studio needs fastapi, uvicorn and prometheus-client"):
        from skiploop.server.app import bound, server_of
        from skiploop.studio import HOST, make_studio
    from skiploop.report.page import Playground, page_files
    from skiploop.runs import pipeline
    from skiploop.runs.ready import has_policy, load_policy
    from skiploop.server.limits import Limits
    from skiploop.server.service import make_service

    opened = machine.opened_run(run)
    report, details = pipeline.report_and_details(opened)
    sock = bound(HOST, port)  # a port that is taken is told before the model is loaded
    model = Path(opened.config.model).name
    policies = {run.resolve().name: load_policy(run, opened.stack)} if has_policy(run) else {}
    playground = Playground(
        model=model,
        policies=tuple(policies),
        stop=opened.task.stop,
        max_new_tokens=min(opened.task.max_new_tokens or 16, max_new_tokens),
    )
    limits = Limits(new_tokens=max_new_tokens)
    service = make_service(opened.stack, model, policies, limits=limits)
    app = make_studio(service, page_files(report, details, playground))
    sock.listen()  # from here on clients wait, and are not refused
    say(f"{run} at http://{HOST}:{sock.getsockname()[1]}/, Ctrl-C stops")
    server_of(app, service).run(sockets=[sock])
