"""`skiploop trace`: which program a policy chooses for a prompt, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.options import Device, Dtype, Json, Memory, Threads
from skiploop.errors import ConfigError

if TYPE_CHECKING:
    from skiploop.policies.explanation import Candidate, Explanation
    from skiploop.report.table import Table


def trace(
    policy: Annotated[
        str,
        typer.Option(
            help="What chooses: a run folder, an exported one, or smollm2-135m/arithmetic and such."
        ),
    ],
    prompt: Annotated[str | None, typer.Argument(help="Text to choose a program for.")] = None,
    ask: Annotated[
        str | None,
        typer.Option(help="A bare question, put as those that the policy learned from."),
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best programs to show.", min=1)] = 5,
    model: Annotated[
        str | None,
        typer.Option(help="Packaged name, hub id, folder or .gguf file. [of the policy]"),
    ] = None,
    dtype: Dtype = None,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Show which program a policy chooses for a prompt, and why. Nothing is generated.

    Example: skiploop trace --policy smollm2-135m/words --ask "plural of mouse"
    """
    if (prompt is None) == (ask is None):
        raise ConfigError("give a prompt to choose a program for, or a question to --ask")

    from skiploop.cli.console import made_by, prepare, print_json, print_table
    from skiploop.cli.show import draw
    from skiploop.loading import load
    from skiploop.runs.ready import base_of, load_policy, origin_of

    base, made_in = base_of(policy)
    text = prompt if ask is None else origin_of(policy).form.prompt(ask)
    prepare(threads)
    stack = load(
        base if model is None else model,
        dtype=made_in if dtype is None else dtype,
        device=device,
        memory=memory,
    )
    found = load_policy(policy, stack).explain(text or "", top)
    print(draw(found.chosen.program))
    print_table(_table(found))
    print(_why(found))
    if as_json:
        facts = made_by(weights=stack.model_id, device=device, n_threads=threads)
        print_json({"model": stack.name, "prompt": text, **_plain(found), **facts})


def _table(found: Explanation) -> Table:
    from skiploop.report.table import Table

    shown = list(found.candidates)
    if found.plain is not None and found.plain not in shown:
        shown.append(found.plain)
    of = f" of {found.n_programs}" if found.n_programs else ""
    return Table(
        title=f"{found.policy}: the best {len(found.candidates)} programs{of}",
        header=("program", "layer passes", "score", "over plain"),
        rows=tuple(
            (
                str(one.program),
                str(one.program.n_slots),
                f"{one.score:.4f}",
                "" if found.plain in (None, one) else f"{one.utility - found.plain.utility:+.4f}",
            )
            for one in shown
        ),
        note=f"Score: {found.score_is}. Over plain: how much better than the plain model, which "
        f"gets {found.margin:g} more; each layer pass costs {found.layer_cost:g}.",
    )


def _why(found: Explanation) -> str:
    """Return in a sentence or two why the first program was chosen."""
    chosen, plain = found.chosen, found.plain
    if found.is_far:
        return "The plain model stays: the prompt is far from all that the policy learned from."
    if math.isinf(found.margin):
        return "The plain model stays, whatever is expected: the policy is not shown to help."
    lead = "" if found.lead is None else f" It leads the runner-up by {found.lead:.4f}."
    if plain is None:
        return f"{chosen.program} has the highest score.{lead}"
    if chosen == plain:
        return f"The plain model stays: no program is expected to be worth its cost.{lead}"
    return (
        f"{chosen.program} has {chosen.score - plain.score:+.4f} in score over the plain model, "
        f"and {chosen.utility - plain.utility:+.4f} after what the gate takes.{lead}"
    )


def _plain(found: Explanation) -> dict[str, object]:
    return {
        "policy": found.policy,
        "score_is": found.score_is,
        "n_programs": found.n_programs,
        "layer_cost": found.layer_cost,
        "margin": found.margin,
        "is_far": found.is_far,
        "lead": found.lead,
        "candidates": [_row(one) for one in found.candidates],
        "plain": None if found.plain is None else _row(found.plain),
    }


def _row(one: Candidate) -> dict[str, object]:
    return {
        "program": str(one.program),
        "n_slots": one.program.n_slots,
        "score": one.score,
        "utility": one.utility,
    }
