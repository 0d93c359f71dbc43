"""Options that several commands share, and how they become settings.

Later wins: the defaults of the dataclasses, `--config`, the flags, `--set`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from skiploop.config import apply_overrides, load_file
from skiploop.errors import ConfigError, unknown_name
from skiploop.files import at_home

PATH: Mapping[str, Any] = {"parser": at_home, "metavar": "<path>"}
"""Of every option that takes a path: a `~` in it is read wherever it stands on the command line."""

Folder = Annotated[
    Path, typer.Option("--out", "--run", help="Run folder; the same one resumes.", **PATH)
]
Model = Annotated[
    str | None, typer.Option(help="Packaged name, hub id, folder or .gguf file. [smollm2-135m]")
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16. [float32]")]
TaskName = Annotated[str | None, typer.Option("--task", help="See 'skiploop tasks'. [arithmetic]")]
Level = Annotated[str | None, typer.Option(help="Level of the task, or several as 1,2.")]
TaskOptions = Annotated[
    list[str] | None, typer.Option("--option", help="Any option of the task, as KEY=VALUE.")
]
Seed = Annotated[int | None, typer.Option(help="Same seed, same run. [0; of the training 42]")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML or JSON with the sections of config.json.", **PATH),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting, such as search.max_block=2.")
]
Device = Annotated[str, typer.Option(help="Where the model runs: cpu, cuda, cuda:1, ...")]
Threads = Annotated[
    int,
    typer.Option(help="Processor threads; more than one only on an idle machine.", min=1, max=1024),
]
Memory = Annotated[
    int | None,
    typer.Option(
        help="Gigabytes for the keys and values of one batch; auto is 1 on a CPU, on a GPU 0.6 of "
        "what is free.",
        parser=lambda text: _bytes(text),
        metavar="<gigabytes or auto>",
        show_default="auto",
    ),
]
Exact = Annotated[
    bool | None,
    typer.Option("--exact", help="Run every row alone: float32 results to the last bit, slowly."),
]


class Prompt(StrEnum):
    """In whose prompt the questions of another task are put."""

    task = "task"
    run = "run"


PromptOf = Annotated[
    Prompt,
    typer.Option("--prompt", help="Questions of another task in its own prompt or in the run's."),
]
Json = Annotated[bool, typer.Option("--json", help="Last line on stdout: one JSON object.")]


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}

Sections = dict[str, dict[str, object]]

SECTIONS = ("run", "search", "train", "menu", "selector", "evaluate")
"""All sections of a configuration file: one file can serve every command."""


def read_settings(
    known: Sequence[str],
    config_file: Path | None,
    overrides: Sequence[str] | None,
    flags: Mapping[str, Mapping[str, object]],
) -> Sections:
    """Merge what the user gave into sections of settings.

    Args:
        known: Sections that the command reads; a file may hold any of `SECTIONS`.
        config_file: From `--config`.
        overrides: From `--set`.
        flags: Section -> setting -> value from a flag; None means that it was not given.

    Raises:
        ConfigError: The file or an override cannot be read.
        UnknownNameError: A section is not known.
    """
    data = load_file(config_file) if config_file else {}
    for section in data:
        if section not in SECTIONS:
            raise unknown_name("section of settings", str(section), SECTIONS)
    given = [
        (section, {name: value for name, value in values.items() if value is not None})
        for section, values in flags.items()
    ]
    for section, values in given:
        inner = data.get(section) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{config_file}: {section} is {inner!r}, expected settings by name")
        data[section] = {**inner, **values}
    for section in apply_overrides({}, overrides or []):
        if section not in known:
            raise unknown_name("section of settings", section, known)
    data = apply_overrides(data, overrides or [])
    return {section: data.get(section, {}) for section in known}  # type: ignore[misc]


def listed(given: Sequence[str] | None) -> list[str]:
    """Return the names that an option gave, several of them with commas."""
    return [name.strip() for one in given or () for name in one.split(",") if name.strip()]


def unescaped(text: str) -> str:
    r"""Return a text from the command line with `\n`, `\t`, `\r` and `\\` read as what they mean.

    Every other backslash stays one.
    """
    return re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], text)


def _bytes(text: str) -> int | None:
    """Return a size in gigabytes as bytes; None for `auto`."""
    if text == "auto":
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 1e-6 <= gigabytes <= 1e6:
        raise typer.BadParameter(f"{text!r} is no size: give gigabytes such as 20, or auto")
    return int(gigabytes * 10**9)


def run_flags(
    *,
    model: str | None,
    dtype: str | None,
    exact: bool | None,
    task: str | None,
    level: str | None,
    option: Sequence[str] | None,
    seed: int | None,
) -> dict[str, object]:
    """Return the flags that say what a run folder is about, as settings of its `run` section."""
    return {
        "model": model,
        "dtype": dtype,
        "exact": exact,
        "task": task,
        "options": task_options(level, option),
        "seed": seed,
    }


def task_options(level: str | None, options: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the options of a task as `key=value`, or None if none was given."""
    if level is None and not options:
        return None
    for option in options or ():
        if "=" not in option:
            raise ConfigError(f"--option {option!r} is not KEY=VALUE: write shots=2")
        if level is not None and option.partition("=")[0].strip() == "level":
            raise ConfigError(f"--level {level} and --option {option} say the same: give one")
    return (*([f"level={level}"] if level is not None else []), *(options or []))
