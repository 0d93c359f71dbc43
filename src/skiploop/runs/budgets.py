"""Limits of layer passes that a method cannot keep to, refused before anything is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pkgutil import resolve_name

from skiploop.menus.menu import Menu
from skiploop.policies.alone import check_limit
from skiploop.policies.early_exit.calibration import exits_of
from skiploop.policies.early_exit.executor import check_supported
from skiploop.policies.flexidepth.layers import check_family
from skiploop.policies.flexidepth.method import FlexiDepth
from skiploop.policies.flexidepth.network import Skippers
from skiploop.policies.mindskip.gates import Attentions
from skiploop.runs.policies import find
from skiploop.runs.session import Run
from skiploop.runs.stages import Settings, settings_of


def refuse_budgets(names: Sequence[str], run: Run, settings: Settings) -> None:
    """Refuse layer passes that are fewer than a method can take, whatever it will learn.

    Args:
        names: From `checked_name`.
        run: Holds the model; more is known once it holds a menu.
        settings: Of the stages, by name.

    Raises:
        ConfigError: There is such a limit.
        UnsupportedModelError: A method cannot run the model.
    """
    for name in names:
        entry, argument = find(name)
        if entry.least_passes:
            least: Callable[[Run, Settings], float] = resolve_name(entry.least_passes)
            check_limit(name, float(argument), least(run, settings))


def one_layer(_run: Run, _settings: Settings) -> float:
    """Return what is left where all layers are dropped but one."""
    return 1


def first_exit(run: Run, _settings: Settings) -> float:
    """Return the passes of a token that leaves as soon as it can."""
    check_supported(run.stack)
    n_layers = run.stack.n_layers
    return min([*exits_of(n_layers), n_layers])


def without_attention(run: Run, _settings: Settings) -> float:
    """Return the passes that are left where the routers of MindSkip close all attention."""
    return Attentions(run.stack).least_passes


def by_adapters(run: Run, _settings: Settings) -> float:
    """Return the passes of a token that skips all that FlexiDepth lets it skip."""
    check_family(run.stack)
    return FlexiDepth(run.stack, Skippers.of_second_half(run.stack)).least_passes


def shortest_on_menu(run: Run, settings: Settings) -> float:
    """Return the length of the shortest program on the menu, or on any that is allowed."""
    if run.facts("menu"):
        return min(program.n_slots for program in Menu.load(run.folder).programs)
    return float(settings_of(run, "menu", settings.get("menu", {})).least_slots(run.stack.n_layers))
