"""`skiploop import`: take what other projects have found."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli import console
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import PATH, Json, ModelOptions, TaskOptions, run_flags
from skiploop.config import from_dict
from skiploop.errors import ConfigError
from skiploop.exchange.contents import Contents
from skiploop.exchange.formats import find_format, names
from skiploop.exchange.listing import PROGRAMS_FILE
from skiploop.runs.folder import RunConfig

if TYPE_CHECKING:
    from skiploop.runs.importing import ImportedRun


@with_groups
def import_(
    *,
    file: Annotated[
        Path, typer.Argument(help="What another project wrote; .gz is unpacked.", **PATH)
    ],
    form: Annotated[str, typer.Option("--from", help=f"Its format: {', '.join(names('import'))}.")],
    out: Annotated[
        Path, typer.Option(help="New run folder, or file for a list of programs.", **PATH)
    ],
    model: ModelOptions,
    task: Annotated[
        str | None,
        typer.Option(help="Task that has the questions. [one of the file's own questions]"),
    ] = None,
    options: TaskOptions,
    questions: Annotated[
        list[Path] | None,
        typer.Option(
            help="File with the texts of questions that the file only names; repeatable.", **PATH
        ),
    ] = None,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Read a file of another project for a model.

    Questions with verdicts become a run folder, with which train, menu build and evaluate go on.
    Programs become a list, from which menu build takes its candidates.

    Example: skiploop import merged_mcts_samples.json --from polar --model MODEL --out RUN
    """
    chosen = find_format(form, "import")
    with_questions = chosen.holds == "questions"
    if not with_questions and (task or options.level or options.option or questions):
        raise ConfigError(f"{form} holds programs without questions: leave out the task")
    if (options.level or options.option) and not task:
        raise ConfigError("--level and --option are of a task: give --task too")

    from skiploop.exchange.reading import Source
    from skiploop.files import check_new
    from skiploop.runs.importing import import_programs, import_questions

    check_new(out)
    flags = run_flags(model, task, options, None)
    given = {name: value for name, value in flags.items() if value is not None}
    asked = from_dict(RunConfig, {"task": "", **given}, "run")
    stack = machine.load(asked.model, asked.dtype, exact=asked.exact)
    source = Source(file, stack.n_layers, tuple(questions or ()))
    if with_questions:
        run = import_questions(source, chosen, stack, asked, out)
        figures, left_out, steps = _counts(run), run.left_out, _steps_of_run(run, out)
        print(
            f"{run.n_verdicts:,} verdicts of {run.n_programs:,} programs on {run.n_questions:,} "
            f"questions from {file}, {run.n_train:,} of them to learn from"
        )
    else:
        found = import_programs(source, chosen, stack, out)
        figures = {"programs": [str(program) for program in found.programs]}
        left_out, steps = found.left_out, _steps_of_list(found, asked, out)
        print(f"{len(found.programs):,} programs from {file}")
    for reason in left_out:
        print(f"left out: {reason}")
    print("\n".join(["next:", *(f"  {step}" for step in steps)]))
    if as_json:
        facts = {"out": str(out), **figures, "left_out": left_out, "next": steps}
        console.print_json({**facts, **console.made_by()})


def _counts(run: ImportedRun) -> dict[str, object]:
    return {name: value for name, value in vars(run).items() if name.startswith("n_")}


def _steps_of_run(found: ImportedRun, out: Path) -> list[str]:
    """Return the commands that go on with a run folder."""
    folder = shlex.quote(str(out))
    steps = [f"skiploop train --method polar --run {folder}"]
    if found.n_listed:
        raced, limit = max(1, found.n_train // 4), found.n_train
        words = ["--candidates", str(out / PROGRAMS_FILE), "--max-edits", "1"]
        words += ["--race-questions", str(raced), "--limit", str(limit)]
        flags = shlex.join([*_flags(found.run), *words])
        steps.append(f"skiploop menu build --out {folder} {flags}")
        steps.append(f"skiploop train --method selector --run {folder}")
    return [*steps, f"skiploop evaluate --run {folder}"]


def _steps_of_list(found: Contents, asked: RunConfig, out: Path) -> list[str]:
    """Return the commands that go on with a list of programs."""
    edited = (program for program in found.programs if not program.is_identity)
    programs, program = (shlex.quote(str(one)) for one in (out, next(edited, found.programs[0])))
    model = shlex.join(["--model", asked.model, "--dtype", asked.dtype])
    return [
        f"skiploop generate {model} --program identity --program {program} PROMPT",
        f"skiploop menu build {model} --task TASK --candidates {programs} --out RUN",
    ]


def _flags(made: RunConfig) -> list[str]:
    flags = ["--model", made.model, "--dtype", made.dtype]
    if made.exact:
        flags.append("--exact")
    if made.task:
        flags += ["--task", made.task]
    return flags + [word for option in made.options for word in ("--option", option)]
