"""`skiploop tasks`: what can be asked."""

from __future__ import annotations

from typing import Annotated

import typer

from skiploop.cli.console import made_by, print_json, show_log
from skiploop.cli.groups import with_groups
from skiploop.cli.options import Json, TaskOptions
from skiploop.config import AtMost, apply_overrides
from skiploop.tasks import get_task, task_names


@with_groups
def tasks(
    *,
    name: Annotated[str | None, typer.Argument(help="Show questions of this task.")] = None,
    options: TaskOptions,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    limit: Annotated[int | None, typer.Option(help="Questions to show. [3]", min=1)] = None,
    as_json: Json = False,
) -> None:
    """List the tasks, or show some prompts and gold answers of one.

    Example: skiploop tasks arithmetic --level 2
    """
    if name is None:
        names = task_names()
        print("\n".join(names))
        if as_json:
            print_json({"tasks": list(names), **made_by()})
        return
    show_log()
    task = get_task(name, **apply_overrides({}, options.listed() or ()))
    shown = [
        {"id": e.id, "prompt": task.prompt(e), "choices": list(e.choices), "gold": e.gold}
        for e in task.examples(split, AtMost(3) if limit is None else limit)
    ]
    for example in shown:
        print(f"--- {example['id']}\n{example['prompt']}[{example['gold']}]")
    if as_json:
        figures = {"task": task.name, "version": task.version, "examples": shown}
        print_json({**figures, **made_by()})
