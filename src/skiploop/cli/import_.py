"""`skiploop import`: take what other projects have found."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.options import (
    Device,
    Dtype,
    Exact,
    Json,
    Level,
    Memory,
    Model,
    TaskOptions,
    Threads,
    run_flags,
)
from skiploop.errors import ConfigError
from skiploop.exchange.formats import find_format, names

if TYPE_CHECKING:
    from skiploop.runs.folder import RunConfig
    from skiploop.runs.importing import Imported


def import_(
    file: Annotated[Path, typer.Argument(help="What another project wrote; .gz is unpacked.")],
    form: Annotated[str, typer.Option("--from", help=f"Its format: {', '.join(names('import'))}.")],
    out: Annotated[Path, typer.Option(help="New run folder, or file for a list of programs.")],
    model: Model = None,
    dtype: Dtype = None,
    exact: Exact = None,
    task: Annotated[
        str | None,
        typer.Option(help="Task that has the questions. [one of the file's own questions]"),
    ] = None,
    level: Level = None,
    option: TaskOptions = None,
    questions: Annotated[
        list[Path] | None,
        typer.Option(help="File with the texts of questions that the file only names; repeatable."),
    ] = None,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Read a file of another project for a model.

    Questions with verdicts become a run folder, with which train, menu build and evaluate go on.
    Programs become a list, from which menu build takes its candidates.

    Example: skiploop import merged_mcts_samples.json --from polar --model MODEL --out RUN
    """
    chosen = find_format(form, "import")
    with_questions = chosen.holds == "questions"
    if not with_questions and (task or level or option or questions):
        raise ConfigError(f"{form} holds programs without questions: leave out the task")
    if (level or option) and not task:
        raise ConfigError("--level and --option are of a task: give --task too")

    from skiploop.cli import console
    from skiploop.config import from_dict
    from skiploop.exchange.reading import Source
    from skiploop.files import check_new
    from skiploop.loading import load
    from skiploop.runs.folder import RunConfig
    from skiploop.runs.importing import import_programs, import_questions

    console.prepare(threads)
    check_new(out)
    flags = run_flags(
        model=model, dtype=dtype, exact=exact, task=task, level=level, option=option, seed=None
    )
    given = {name: value for name, value in flags.items() if value is not None}
    asked = from_dict(RunConfig, {"task": "", **given}, "run")
    stack = load(asked.model, dtype=asked.dtype, device=device, memory=memory, exact=asked.exact)
    source = Source(file, stack.n_layers, tuple(questions or ()))
    if with_questions:
        found = import_questions(source, chosen, stack, asked, out)
        steps = _steps_of_run(found, out)
    else:
        found = import_programs(source, chosen, stack, out)
        steps = _steps_of_list(found, asked, out)
    print(_summary(found, file))
    for reason in found.left_out:
        print(f"left out: {reason}")
    print("\n".join(["next:", *(f"  {step}" for step in steps)]))
    if as_json:
        figures = {"out": str(out), "n_programs": found.n_programs}
        counts = {"n_questions": found.n_questions, "n_verdicts": found.n_verdicts}
        left_out = {"left_out": found.left_out, "next": steps}
        console.print_json({**figures, **counts, **left_out, **console.made_by()})


def _summary(found: Imported, file: Path) -> str:
    programs = f"{found.n_programs:,} program{'s' * (found.n_programs != 1)}"
    if not found.n_questions:
        return f"{programs} from {file}"
    return (
        f"{found.n_verdicts:,} verdicts of {programs} on {found.n_questions:,} questions from "
        f"{file}, {found.n_train:,} of them to learn from"
    )


def _steps_of_run(found: Imported, out: Path) -> list[str]:
    """Return the commands that go on with a run folder."""
    run, asked = shlex.quote(str(out)), shlex.join(_flags(found.run)) if found.run else ""
    candidates = shlex.quote(str(out / "programs.txt"))
    raced = max(1, found.n_train // 4)
    return [
        f"skiploop train --method polar --run {run}",
        f"skiploop menu build --out {run} {asked} --candidates {candidates} --max-edits 1 "
        f"--raced {raced} --limit {found.n_train}",
        f"skiploop evaluate --run {run}",
    ]


def _steps_of_list(found: Imported, asked: RunConfig, out: Path) -> list[str]:
    """Return the commands that go on with a list of programs."""
    programs, program = shlex.quote(str(out)), shlex.quote(str(found.first))
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
