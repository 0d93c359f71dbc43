"""The `skiploop` command: its sub-commands, and how errors reach the user.

Exit codes: 0 done, 1 a bug, 2 the user's input or machine, 3 done but for some jobs of workers,
130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Annotated

import typer

import skiploop
from skiploop.cli import (
    chat,
    compare,
    demo,
    doctor,
    evaluate,
    export,
    fit,
    generate,
    import_,
    menu,
    models,
    report,
    search,
    serve,
    show,
    studio,
    tasks,
    trace,
    train,
)
from skiploop.cli.console import print_json
from skiploop.errors import JobsFailedError, SkiploopError, one_line

app = typer.Typer(
    name="skiploop",
    help="Let a frozen LLM skip some of its layers and run others twice, per prompt.\n\n"
    "Example: skiploop demo\n\n"
    "Add --debug anywhere to see the traceback of an error.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(*, is_asked: bool) -> None:
    if is_asked:
        print(f"skiploop {skiploop.__version__}")
        raise typer.Exit


@app.callback()
def _skiploop(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            is_eager=True,
            callback=lambda value: _print_version(is_asked=value),
        ),
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("fit")(fit.fit)
app.command("search", context_settings=search.OLD_NAMES)(search.search)
app.add_typer(menu.app, name="menu")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("studio")(studio.studio)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("generate")(generate.generate)
app.command("chat")(chat.chat)
app.command("serve")(serve.serve)
app.command("trace")(trace.trace)
app.command("show")(show.show)
app.command("tasks")(tasks.tasks)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")


def run() -> None:
    """Run the command line of this process and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know no dash
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    code = main(arguments, debug="--debug" in sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def main(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command, given as on the command line without the program's name.

    Returns:
        The exit code.
    """
    arguments = arguments or ["--help"]
    try:
        return int(app(arguments, prog_name="skiploop", standalone_mode=False) or 0)
    except typer.Exit as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:  # what the parser makes of a pipe that nobody reads any more
        if isinstance(stop.__context__, BrokenPipeError):
            sys.stdout = sys.__stdout__ or sys.stdout
            return 0
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of the process
        if debug:
            traceback.print_exc()
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
            return 0
        message, code = _explain(error)
        print(f"skiploop: {message}", file=sys.stderr)
        if "--json" in arguments:
            print_json({"error": message, "kind": type(error).__name__, "exit_code": code})
        return code


def _explain(error: Exception) -> tuple[str, int]:
    """Return one line about an error, and the exit code."""
    if isinstance(error, SkiploopError):
        return one_line(error), 3 if isinstance(error, JobsFailedError) else 2
    # The parser's own errors share no public base class in all versions of typer, but this method.
    format_message = getattr(error, "format_message", None)
    if format_message:
        text = " ".join(format_message().split())
        if type(error).__name__ == "NoSuchOption":
            text += "; a text that starts with a dash comes last, after two dashes: -- TEXT"
        return f"{text} (see 'skiploop --help')", 2
    if isinstance(error, OSError):
        return f"{one_line(error)}; check the path, its rights and the free disk space", 2
    name = type(error).__name__
    return f"bug: {name}: {one_line(error)} (add --debug for the traceback)", 1
