"""Options that several commands share, and how they become settings.

Later wins: the defaults of the dataclasses, `--config`, the flags, `--set`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from skiploop.config import apply_overrides, load_file
from skiploop.errors import ConfigError, unknown_name
from skiploop.files import at_home

PATH: Mapping[str, Any] = {"parser": at_home, "metavar": "<path>"}
"""Of every option that takes a path: a `~` in it is read wherever it stands on the command line."""

POLICY_HELP = "What chooses: a run folder, an exported one, or smollm2-135m/arithmetic and such."
ASK_HELP = "A bare question, put as those that the policy learned from."

Folder = Annotated[
    Path, typer.Option("--out", "--run", help="Run folder; the same one resumes.", **PATH)
]
ModelOfPolicy = Annotated[
    str | None,
    typer.Option(
        help="Packaged name, hub id, folder or .gguf file. [of the policy, or smollm2-135m]"
    ),
]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16. [float32]")]
TaskName = Annotated[str | None, typer.Option("--task", help="See 'skiploop tasks'. [arithmetic]")]
Json = Annotated[bool, typer.Option("--json", help="Last line on stdout: one JSON object.")]


class Prompt(StrEnum):
    """In whose prompt the questions of another task are put."""

    task = "task"
    run = "run"


PromptOf = Annotated[
    Prompt,
    typer.Option("--prompt", help="Questions of another task in its own prompt or in the run's."),
]

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}

Sections = dict[str, dict[str, object]]

SECTIONS = ("run", "search", "train", "menu", "selector", "evaluate")
"""All sections of a configuration file: one file can serve every command."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The model of a run."""

    model: Annotated[
        str | None, typer.Option(help="Packaged name, hub id, folder or .gguf file. [smollm2-135m]")
    ] = None
    dtype: Dtype = None
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact", help="Run every row alone: float32 results to the last bit, slowly."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Options of a task."""

    level: Annotated[str | None, typer.Option(help="Level of the task, or several as 1,2.")] = None
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Any option of the task, as KEY=VALUE.")
    ] = None

    def listed(self) -> tuple[str, ...] | None:
        """Return them as `key=value`, or None if none was given."""
        if self.level is None and not self.option:
            return None
        for option in self.option or ():
            if "=" not in option:
                raise ConfigError(f"--option {option!r} is not KEY=VALUE: write shots=2")
            if self.level is not None and option.partition("=")[0].strip() == "level":
                raise ConfigError(
                    f"--level {self.level} and --option {option} say the same: give one"
                )
        return (*([f"level={self.level}"] if self.level is not None else []), *(self.option or []))


@dataclass(frozen=True, kw_only=True)
class SettingOptions:
    """Where settings come from beside the other options of a command."""

    seed: Annotated[
        int | None, typer.Option(help="Same seed, same run. [0; of the training 42]")
    ] = None
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML or JSON with the sections of config.json.", **PATH),
    ] = None
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting, such as search.max_block=2.")
    ] = None

    def merged(self, known: Sequence[str], flags: Mapping[str, Mapping[str, object]]) -> Sections:
        """Merge what the user gave into sections of settings.

        Args:
            known: Sections that the command reads; a file may hold any of `SECTIONS`.
            flags: Section -> setting -> value from a flag; None means that it was not given.

        Raises:
            ConfigError: The file or an override cannot be read.
            UnknownNameError: A section is not known.
        """
        data = load_file(self.config) if self.config else {}
        for section in data:
            if section not in SECTIONS:
                raise unknown_name("section of settings", str(section), SECTIONS)
        for section, values in flags.items():
            inner = data.get(section) or {}
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"{self.config}: {section} is {inner!r}, expected settings by name"
                )
            given = {name: value for name, value in values.items() if value is not None}
            data[section] = {**inner, **given}
        overrides = self.overrides or []
        for section in apply_overrides({}, overrides):
            if section not in known:
                raise unknown_name("section of settings", section, known)
        data = apply_overrides(data, overrides)
        return {section: data.get(section, {}) for section in known}  # type: ignore[misc]


def run_flags(
    model: ModelOptions, task: str | None, options: TaskOptions, seed: int | None
) -> dict[str, object]:
    """Return the flags that say what a run folder is about, as settings of its `run` section."""
    return {**vars(model), "task": task, "options": options.listed(), "seed": seed}


def listed(given: Sequence[str] | None) -> list[str]:
    """Return the names that an option gave, several of them with commas."""
    return [name.strip() for one in given or () for name in one.split(",") if name.strip()]


def unescaped(text: str) -> str:
    r"""Return a text from the command line with `\n`, `\t`, `\r` and `\\` read as what they mean.

    Every other backslash stays one.
    """
    return re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], text)
