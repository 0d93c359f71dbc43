"""Wall times, in a table of their own and in the main one."""

from __future__ import annotations

from skiploop.evaluation.wall_time import Timing
from skiploop.report.table import Table
from skiploop.report.words import NOTHING, ratio_words


def timing_table(timing: Timing) -> Table:
    """Return wall times at equal numbers of tokens."""
    cells = tuple(
        (
            policy,
            f"{min(s):.3f}",
            f"{max(s):.3f}",
            str(len(s)),
            *wall_words(timing, policy),
            f"{1000 * timing.choosing_s[policy]:.1f}" if policy in timing.choosing_s else NOTHING,
        )
        for policy, s in timing.wall_s.items()
    )
    header = (
        "policy",
        "fastest, s",
        "slowest, s",
        "repetitions",
        "median, identity = 1",
        "with choosing",
        "choosing, ms a prompt",
    )
    what = f"{timing.n_tokens} new tokens together" if timing.n_tokens else "all its choices"
    note = (
        f"{timing.n_prompts} prompts, each alone, with {what} in "
        "every repetition, for every policy. ±: how far the ratio may be off for other prompts of "
        "this sort (95 %); more prompts are timed until it is small or time is up."
    )
    return Table("Wall time at equal numbers of generated tokens", header, cells, note)


def wall_words(timing: Timing, policy: str) -> tuple[str, str]:
    """Return the wall time of a policy next to the identity, without and with choosing."""
    if policy not in timing.wall_s:
        return NOTHING, NOTHING
    ratio = ratio_words(timing.ratio(policy), timing.spread(policy))
    return ratio, ratio_words(timing.ratio_with_choosing(policy))
