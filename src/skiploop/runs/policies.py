"""The registry of policies: their names, checked and found.

Help texts, the table in docs/reference/policies.md, the choice without `--policy` and error
messages are made from it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skiploop.errors import ConfigError, unknown_name
from skiploop.runs.entries import ENTRIES, Entry, Stage
from skiploop.runs.folder import command_of
from skiploop.shipped import shipped_policies

if TYPE_CHECKING:
    from skiploop.runs.session import Run

_log = logging.getLogger("skiploop")

POLICIES = tuple(entry.name for entry in ENTRIES if not entry.argument)
"""All names that are in the registry as they are: neither patterns nor shipped policies."""


def entries() -> list[Entry]:
    """Return the whole registry, that which ships with skiploop last."""
    shipped = [
        Entry(
            name=name,
            does="what the shipped policy chooses, in a run with its own questions",
            maker="skiploop.runs.methods.given:shipped",
        )
        for name in shipped_policies()
    ]
    return [*ENTRIES, *shipped]


def patterns() -> list[str]:
    """Return how all names look, in the order of the registry."""
    return [entry.pattern for entry in entries()]


def find(name: str) -> tuple[Entry, str]:
    """Return the entry of a policy, and the one spelling of what its name has after the colon.

    Raises:
        UnknownNameError: There is no such policy.
        ProgramError: The program of a `fixed` policy is none.
        ConfigError: The number after `selector:` or of a vote is none.
    """
    kind, colon, text = name.partition(":")
    for entry in entries():
        if entry.argument is None and name in (entry.name, *entry.old_names):
            return entry, ""
        if entry.argument and colon and entry.name == kind:
            return entry, entry.argument.read(kind, text)
    raise unknown_name("policy", name, patterns())


def checked_name(name: str) -> str:
    """Return the name of a policy in its one spelling; refuse what `find` refuses."""
    entry, argument = find(name)
    return f"{entry.name}:{argument}" if argument else entry.name


def within_budgets(names: Sequence[str], budgets: Sequence[float], n_layers: int) -> list[str]:
    """Return names in which each that takes layer passes comes once for each budget.

    Args:
        names: Of policies; those that say after a colon what they take stay as they are.
        budgets: Shares of the plain model's layer passes.
        n_layers: Of the model.

    Raises:
        ConfigError: A name is none without layer passes, and there is no budget; or there is one,
            and no name takes it.
    """
    known = patterns()
    found: list[str] = []
    for name in names:
        takes_layers = f"{name}:LAYERS" in known
        if takes_layers and budgets:
            found += [f"{name}:{round(share * n_layers, 2):g}" for share in budgets]
        elif takes_layers and name not in known:
            raise ConfigError(
                f"{name} needs a number of layer passes: write {name}:{n_layers - 2}, or give "
                "--budget, such as 0.85 for 85 % of them"
            )
        else:
            found.append(name)
    if budgets and found == list(names):
        raise ConfigError(
            f"--budget is for methods that take layer passes, as selector does, and none is among "
            f"{', '.join(names)}: leave it out"
        )
    return found


def controls_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the policies beside which those of some names have to be seen."""
    return tuple(dict.fromkeys(control for name in names for control in entry_of(name).controls))


def entry_of(name: str) -> Entry:
    """Return the entry of a policy."""
    return find(name)[0]


def available(run: Run) -> list[str]:
    """Return the policies that a run has all for, and say which others its stages lead to."""
    stages: tuple[Stage, ...] = ("search", "menu")
    offered = [
        entry
        for stage in stages
        if run.has(stage)
        for entry in ENTRIES
        if stage in entry.offered_after
    ]
    found = ["identity"]
    for entry in dict.fromkeys(offered):
        if not entry.needs or any(run.facts(stage) for stage in entry.needs):
            found.append(entry.name)
        else:
            missing = " or ".join(f"'skiploop {command_of(stage)}'" for stage in entry.needs)
            _log.info("%s is left out: %s did not run to its end", entry.name, missing)
    return found
