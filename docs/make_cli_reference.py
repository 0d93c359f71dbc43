"""Write docs/reference/cli.md from the help of every command.

python docs/make_cli_reference.py
"""

import contextlib
import io
import os
from pathlib import Path

from skiploop.cli.main import app, main

HABITS = """\
The option `--install-completion` of `skiploop` lets bash, zsh, fish and PowerShell complete
commands and options with the tab key, from the next shell on."""

TARGET = Path(__file__).parent / "reference" / "cli.md"


def help_of(*command: str) -> str:
    """Return what `--help` prints on a terminal of 100 columns."""
    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "100"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([*command, "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def reference() -> str:
    """Return the whole page."""
    names = [str(command.name) for command in app.registered_commands]
    groups = [("menu",), ("menu", "build"), ("menu", "show"), ("models",), ("models", "pull")]
    commands = [(), *((name,) for name in names), *groups]
    parts = ["# The command line", "Made by `python docs/make_cli_reference.py`.", HABITS]
    for command in commands:
        parts.append(f"## skiploop {' '.join(command)}".rstrip())
        parts.append(f"```\n{help_of(*command)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference())
