"""What a judgement comes to, in one sentence that a person can act on."""

from __future__ import annotations

from skiploop.evaluation.outcome import MOST_LOST, Outcome
from skiploop.evaluation.policy_table import PolicyRow
from skiploop.report.words import p_words, percent

_KEPT = "Nothing is shown; the plain model is kept"


def outcome_sentence(found: Outcome) -> str:
    """Return what is gained, at how many layers, and how sure that is."""
    plain, best = found.plain, found.best
    if best is None:
        return f"{_KEPT}: no program with fewer layers came onto the menu, and {_plain(plain)}."
    if best.identity_share.value == 1:
        return f"{_KEPT}: no choice was shown to help while it was learned, and {_plain(plain)}."
    if found.is_more_right:
        return f"More is right: {_right(plain, best)}, at {_layers(plain, best)}."
    if found.is_shorter:
        at_most = f"a loss of more than {100 * MOST_LOST:g} points is ruled out"
        return f"Layers are saved: {_layers(plain, best)}, and {_right(plain, best)}; {at_most}."
    favourite = ", which another favourite answer would gain, too"
    why = favourite if best.verdict == "not beyond favourite answers" else ""
    return f"{_KEPT}: with '{best.policy}' {_right(plain, best)}{why}."


def _plain(plain: PolicyRow) -> str:
    return f"it is right on {percent(plain.accuracy.value)} % of {_questions(plain)}"


def _questions(plain: PolicyRow) -> str:
    return f"{plain.n_examples:,} held-out questions"


def _right(plain: PolicyRow, best: PolicyRow) -> str:
    """Say how many answers are right with a policy, and how sure the difference is."""
    paired = best.against_identity
    if paired is None or paired.difference is None or paired.interval is None:
        return f"no answer to {plain.n_examples:,} held-out questions could be graded"
    low, high = paired.interval
    return (
        f"{percent(best.accuracy.value)} % of {_questions(plain)} are answered right in place of "
        f"{percent(plain.accuracy.value)} % ({100 * paired.difference:+.1f} points, 95 % interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}; {paired.only_first} fixed, {paired.only_second} "
        f"broken, p {p_words(best.p_holm)})"
    )


def _layers(plain: PolicyRow, best: PolicyRow) -> str:
    where = best.mean_slots_right
    right = "" if where is None else f" ({where:.1f} where the answer is right)"
    return f"{best.mean_slots:.1f} layer passes{right} in place of {plain.mean_slots:g}"
