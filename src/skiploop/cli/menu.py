"""`skiploop menu`: a short list of programs, and what all of them answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import (
    PATH,
    Folder,
    Json,
    ModelOptions,
    SettingOptions,
    TaskName,
    TaskOptions,
    run_flags,
)
from skiploop.cli.workers import WorkerOptions
from skiploop.config import from_dict
from skiploop.exchange.listing import read_lines

app = typer.Typer(
    no_args_is_help=True,
    help="Make or show a menu: a short list of programs that complement each other.\n\n"
    "Example: skiploop menu build --task arithmetic --level 2,3 --out RUN",
)


BAR_WIDTH = 40

_OLD_NAMES = {"raced": "race-questions", "anchor": "damping-anchor", "price": "layer-cost"}
"""Options as they were called in the last version: still read, in no help text."""


@app.command(context_settings={"token_normalize_func": lambda name: _OLD_NAMES.get(name, name)})
@with_groups
def build(
    *,
    out: Folder,
    task: TaskName = None,
    options: TaskOptions,
    size: Annotated[
        int | None, typer.Option(help="Programs on it. [24, or fewer for few questions]")
    ] = None,
    race_questions: Annotated[
        int | None, typer.Option(help="Questions that choose them. [120, or a third of all]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Questions that all of them answer. [1500, or all]")
    ] = None,
    max_edits: Annotated[int | None, typer.Option(help="Edits of a program at most. [2]")] = None,
    first_layer: Annotated[
        int | None, typer.Option(help="Layers that every program starts with. [4]")
    ] = None,
    damping_anchor: Annotated[
        list[float] | None,
        typer.Option(help="Try damped loops with this anchor too; give it again for more. [none]"),
    ] = None,
    layer_cost: Annotated[
        float | None,
        typer.Option(help="Score that a layer must bring; above 0, short programs come too. [0]"),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="File of programs that race, one a line. [all with one edit]", **PATH),
    ] = None,
    scaled: Annotated[
        int | None,
        typer.Option(help="Programs that scale layers, learned on further questions. [0]"),
    ] = None,
    scale_questions: Annotated[
        int | None, typer.Option(help="Questions that they are learned from. [4000, or all left]")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the task. [train]")] = None,
    model: ModelOptions,
    machine: Machine,
    workers: WorkerOptions,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Choose programs that complement each other, and run all of them on many questions.

    What they answered is what 'skiploop train --method selector' learns from. Started again on
    the same folder, it goes on where it stopped.

    Example: skiploop menu build --task arithmetic --level 2,3 --out RUN
    """
    flags: dict[str, dict[str, object]] = {
        "run": run_flags(model, task, options, settings.seed),
        "menu": {
            "size": size,
            "race_questions": race_questions,
            "limit": limit,
            "max_edits": max_edits,
            "first_layer": first_layer,
            "damping_anchors": tuple(damping_anchor) if damping_anchor else None,
            "layer_cost": layer_cost,
            "split": split,
            "candidates": tuple(read_lines(candidates)) if candidates else None,
            "scaled": scaled,
            "scale_questions": scale_questions,
        },
    }
    sections = settings.merged(("run", "menu"), flags)

    from skiploop.menus.menu import MenuConfig
    from skiploop.report.tables.selector import menu_table
    from skiploop.runs import pipeline

    config = from_dict(MenuConfig, sections["menu"], "menu")
    run = machine.new_run(out, sections["run"])
    started = time.perf_counter()
    with (
        workers.working(run, machine.threads),
        console.counted(out, "menu", stored=lambda: run.n_trials) as progress,
    ):
        menu = pipeline.menu(run, config, progress)
    console.print_table(menu_table(menu))
    if as_json:
        figures = {"run": str(out), **menu.figures(), "provenance": run.provenance("menu")}
        console.print_json({**figures, "timing": {"seconds": time.perf_counter() - started}})


@app.command()
def show(out: Folder, as_json: Json = False) -> None:
    """Show the programs of a menu, and what each of them adds.

    Example: skiploop menu show --run RUN
    """
    from skiploop.menus.menu import Menu
    from skiploop.report.tables.selector import menu_table
    from skiploop.runs.session import Run

    menu = Menu.load(Run.open(out).folder)
    console.print_table(menu_table(menu))
    if as_json:
        console.print_json({"run": str(out), **menu.figures(), **console.made_by()})


@app.command()
def curve(out: Folder, as_json: Json = False) -> None:
    """Draw how many questions a menu of each size covers, judged with the gold answer.

    The questions are those of the table that did not choose the menu.

    Example: skiploop menu curve --run RUN
    """
    from skiploop.errors import RunError
    from skiploop.menus.menu import Menu
    from skiploop.runs.session import Run

    menu = Menu.load(Run.open(out).folder)
    if not menu.oracle_coverage:
        raise RunError(
            f"all questions of the menu in {out} chose it: build one with --limit above "
            "--race-questions"
        )
    most = menu.oracle_coverage[-1] or 1.0
    print("programs  oracle coverage")
    for size, share in enumerate(menu.oracle_coverage, 1):
        print(f"{size:>8}  {100 * share:5.1f} %  {'#' * round(BAR_WIDTH * share / most)}")
    if as_json:
        console.print_json({"run": str(out), **menu.figures(), **console.made_by()})
