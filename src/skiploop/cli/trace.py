"""`skiploop trace`: which program a policy chooses for a prompt, and why."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from skiploop.cli.console import made_by, print_json, print_table
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import ASK_HELP, POLICY_HELP, Dtype, Json
from skiploop.cli.show import draw
from skiploop.errors import ConfigError
from skiploop.policies.why import Considered, Why
from skiploop.report.table import Table


@with_groups
def trace(
    *,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)],
    prompt: Annotated[str | None, typer.Argument(help="Text to choose a program for.")] = None,
    ask: Annotated[str | None, typer.Option(help=ASK_HELP)] = None,
    top: Annotated[int, typer.Option(help="How many of the best programs to show.", min=1)] = 5,
    model: Annotated[
        str | None,
        typer.Option(help="Packaged name, hub id, folder or .gguf file. [of the policy]"),
    ] = None,
    dtype: Dtype = None,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Show which program a policy chooses for a prompt, and why. Nothing is generated.

    Example: skiploop trace --policy smollm2-135m/words --ask "plural of mouse"
    """
    if (prompt is None) == (ask is None):
        raise ConfigError("give a prompt to choose a program for, or a question to --ask")

    from skiploop.runs.ready import base_for, load_policy, origin_of

    base, made_in = base_for(policy, model, dtype)
    text = prompt if ask is None else origin_of(policy).form.prompt(ask)
    stack = machine.load(base, made_in)
    loaded = load_policy(policy, stack)
    why = loaded.why(text or "")
    print(draw(why.considered[0].program))
    print_table(_table(loaded.name, why, top))
    print(_because(why))
    if as_json:
        facts = made_by(weights=stack.model_id, device=machine.device, n_threads=machine.threads)
        found = {"policy": loaded.name, **_plain(why, top)}
        print_json({"model": stack.name, "prompt": text, **found, **facts})


def _table(name: str, why: Why, top: int) -> Table:
    plain = _identity(why)
    shown = list(why.considered[:top])
    if plain is not None and plain not in shown:
        shown.append(plain)
    return Table(
        title=f"{name}: the best {min(top, len(why.considered))} of {len(why.considered)} programs",
        header=("program", "layer passes", "score", "over plain"),
        rows=tuple(
            (
                str(one.program),
                str(one.program.n_slots),
                _number(one.score, ".4f"),
                "" if one is plain else _number(_over(one, plain), "+.4f"),
            )
            for one in shown
        ),
        note="Score: what is expected, of a selector the probability of the right answer, of a "
        "predictor the log-probability of the operations. Over plain: how much better than the "
        f"plain model, which gets {why.margin or 0:g} more; each layer pass costs "
        f"{why.layer_cost or 0:g}.",
    )


def _because(why: Why) -> str:
    """Return in a sentence or two why the first program was chosen."""
    chosen, plain = why.considered[0], _identity(why)
    if why.is_far:
        return "The plain model stays: the prompt is unlike all that the policy learned from."
    if why.margin is not None and math.isinf(why.margin):
        return "The plain model stays, whatever is expected: the policy is not shown to help."
    if chosen.score is None:
        return f"{chosen.program} is what every prompt gets."
    lead = _lead(why)
    told = "" if lead is None else f" It leads the runner-up by {lead:.4f}."
    if chosen is plain:
        return f"The plain model stays: no program is expected to be worth its cost.{told}"
    if plain is None or plain.score is None:
        return f"{chosen.program} has the highest score.{told}"
    return (
        f"{chosen.program} has {chosen.score - plain.score:+.4f} in score over the plain model, "
        f"and {_number(_over(chosen, plain), '+.4f')} after what the gate takes.{told}"
    )


def _plain(why: Why, top: int) -> dict[str, object]:
    plain = _identity(why)
    return {
        "n_programs": len(why.considered),
        "layer_cost": why.layer_cost,
        "margin": why.margin,
        "is_far": why.is_far,
        "lead": _lead(why),
        "candidates": [_row(one) for one in why.considered[:top]],
        "plain": None if plain is None else _row(plain),
    }


def _row(one: Considered) -> dict[str, object]:
    return {
        "program": str(one.program),
        "n_slots": one.program.n_slots,
        "score": one.score,
        "utility": one.utility,
    }


def _identity(why: Why) -> Considered | None:
    """Return the plain model among the programs, None where it was not looked at."""
    return next((one for one in why.considered if one.program.is_identity), None)


def _over(one: Considered, plain: Considered | None) -> float | None:
    """Return by how much utility a program is better than the plain model."""
    if plain is None or one.utility is None or plain.utility is None:
        return None
    return one.utility - plain.utility


def _lead(why: Why) -> float | None:
    """Return by how much utility the chosen program leads the runner-up."""
    return _over(*why.considered[:2]) if len(why.considered) > 1 else None


def _number(value: float | None, spec: str) -> str:
    return "" if value is None or math.isinf(value) else format(value, spec)
