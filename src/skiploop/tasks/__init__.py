"""Tasks: questions in disjoint splits, prompts and verdicts; `get_task` finds one by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pkgutil import resolve_name

from skiploop.arguments import shown
from skiploop.errors import ConfigError, unknown_name
from skiploop.files import at_home
from skiploop.tasks.base import SPLITS, Example, Grade, Split, Task, check_option

__all__ = ["SPLITS", "Example", "Grade", "Split", "Task", "get_task", "task_names"]

_PLAIN = {
    "arc": "skiploop.tasks.hub_sets:arc",
    "arithmetic": "skiploop.tasks.arithmetic:ArithmeticTask",
    "asdiv": "skiploop.tasks.hub_sets:asdiv",
    "dart-math": "skiploop.tasks.dart_math:DartMathTask",
    "gsm8k": "skiploop.tasks.hub_sets:gsm8k",
    "mawps": "skiploop.tasks.hub_sets:mawps",
    "mmlu-pro": "skiploop.tasks.hub_sets:mmlu_pro",
    "words": "skiploop.tasks.words:WordsTask",
}
_WITH_ARGUMENT = {
    "boxed": ("file", "skiploop.tasks.boxed_lines:BoxedLinesTask"),
    "mix": ("task>+<task", "skiploop.tasks:_mix"),
    "jsonl": ("file", "skiploop.tasks.jsonl:JsonlTask"),
    "reasoning-gym": ("dataset", "skiploop.tasks.reasoning_gym:ReasoningGymTask"),
}


def task_names() -> list[str]:
    """Return what `get_task` accepts; a part in angle brackets is to be filled in."""
    return sorted([*_PLAIN, *(f"{kind}:<{what}>" for kind, (what, _) in _WITH_ARGUMENT.items())])


def get_task(name: str, **options: object) -> Task:
    """Return a task.

    Args:
        name: One of `task_names()`, such as `arithmetic`, `jsonl:my/questions.jsonl`,
            `reasoning-gym:chain_sum` or `mix:arithmetic+reasoning-gym:chain_sum`.
        options: What the task can be told, such as `level=2`; see docs/reference/tasks.md. Those
            of a mix go to all its tasks.

    Raises:
        UnknownNameError: There is no such task or data set.
        ConfigError: An option is unknown to the task or has a wrong value.
        DataError: A file of questions cannot be used; the message names the line.
        DownloadError: The questions are on a hub that cannot be reached.

    Example:
        >>> task = get_task("arithmetic", level=1)
        >>> example = task.examples("test", limit=1)[0]
        >>> task.grade(example, f" {example.gold}").correct
        True
    """
    if not isinstance(name, str):
        raise ConfigError(f"task is {shown(name)}: give a name, such as arithmetic")
    kind, _, argument = name.partition(":")
    if kind in _PLAIN:
        if argument:
            raise ConfigError(f"task {name!r}: {kind} takes options, not ':{argument}'")
        return _make(kind, _PLAIN[kind], (), options)
    if kind in _WITH_ARGUMENT:
        what, home = _WITH_ARGUMENT[kind]
        if not argument:
            raise ConfigError(f"task {name!r} lacks its {what}: write {kind}:<{what}>")
        return _make(name, home, (argument,), options)
    raise unknown_name("task", name, task_names())


def from_anywhere(name: str) -> str:
    """Return the name of a task by which it is found whatever the current folder is.

    Example:
        >>> from_anywhere("arithmetic"), from_anywhere("jsonl:/data/../questions.jsonl")
        ('arithmetic', 'jsonl:/questions.jsonl')
        >>> from_anywhere("mix:boxed:/data/../questions.jsonl+gsm8k")
        'mix:boxed:/questions.jsonl+gsm8k'
    """
    kind, _, argument = name.partition(":")
    if kind == "mix":
        return f"mix:{'+'.join(map(from_anywhere, argument.split('+')))}"
    is_file = kind in ("boxed", "jsonl") and argument
    return f"{kind}:{at_home(argument).resolve()}" if is_file else name


def _mix(names: str, **options: object) -> Task:
    from skiploop.tasks.mix import MixTask

    return MixTask([get_task(name, **options) for name in names.split("+")])


def _make(name: str, home: str, arguments: tuple[str, ...], options: dict[str, object]) -> Task:
    factory: Callable[..., Task] = resolve_name(home)
    parameters = inspect.signature(factory).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        for option in options:
            check_option(name, option, known)
    return factory(*arguments, **options)
