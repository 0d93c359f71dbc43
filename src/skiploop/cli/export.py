"""`skiploop export`: write a policy, programs or searched questions for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import PATH, Dtype, Json
from skiploop.config import to_dict
from skiploop.errors import ConfigError
from skiploop.exchange.formats import find_format, names
from skiploop.models.packaged import DEFAULT_MODEL
from skiploop.programs.program import Program

POLICY = "recipe"
"""What a run is written as where nobody says it."""


@with_groups
def export(
    *,
    out: Annotated[Path, typer.Option(help="New file or folder.", **PATH)],
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run folder, whose policy or findings are written.", **PATH),
    ] = None,
    program: Annotated[
        list[str] | None, typer.Option(help="Text form of a program; lists take several.")
    ] = None,
    to: Annotated[str, typer.Option(help=f"Format: {', '.join(names('export'))}.")] = POLICY,
    model: Annotated[
        str | None, typer.Option(help="Whose program it is, as for generate. [smollm2-135m]")
    ] = None,
    dtype: Dtype = None,
    landmarks: Annotated[
        int | None,
        typer.Option(help="Questions that a selector keeps of those it learned from. [800]", min=1),
    ] = None,
    layers: Annotated[
        float | None,
        typer.Option(help="Layer passes that the selector keeps to on average. [no limit]"),
    ] = None,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Write a program of a model, or what a run has found, for skiploop or for other tools.

    A run as a recipe is its selector, small enough to ship, with the form of its prompts. It
    compares a new question with some of those that it learned from, not with all. What that costs
    is printed, and written into a card beside it. A run as any other format is what its search
    found, or the programs on its menu. With the folder of the model's weights as --out, a recipe
    goes into a folder in it, and both are loaded by the one name.

    Example: skiploop export --run RUN --out POLICY

    Example: skiploop export --model smollm2-135m --program "14:15x2" --to checkpoint --out MODEL
    """
    chosen = find_format(to, "export")
    if (run is None) == (not program):
        raise ConfigError("give the --program of a --model, or a --run to write what it has found")
    if program and chosen.holds == "questions":
        raise ConfigError(f"{to} holds questions with verdicts: give --run with a finished search")
    if run and (model or dtype):
        raise ConfigError("a run knows its model: leave out --model and --dtype")
    if (landmarks or layers) and not (run and to == POLICY):
        raise ConfigError(
            f"--landmarks and --layers are of the policy of a run: give --run and --to {POLICY}"
        )
    for text in program or ():
        Program.read_edits(text)  # a typing error is told before the model is loaded

    from skiploop.files import check_new
    from skiploop.models.recipe import place_of_recipe
    from skiploop.runs.export import N_LANDMARKS, export_programs, export_run, export_selector

    out = place_of_recipe(out) if to == POLICY else out
    check_new(out)
    figures: dict[str, object] = {"out": str(out), "format": to}
    if run is None:
        stack = machine.load(model or DEFAULT_MODEL, dtype)
        export_programs(stack, program or (), chosen, out)
    else:
        opened = machine.opened_run(run)
        if to == POLICY:
            kept = export_selector(opened, landmarks or N_LANDMARKS, layers, out)
            print(kept.summary())
            figures = {"policy": str(out), "kept": to_dict(kept)}
        else:
            export_run(opened, chosen, out)
    print(f"{chosen.does}: {out}")
    if as_json:
        console.print_json({**figures, **console.made_by()})
