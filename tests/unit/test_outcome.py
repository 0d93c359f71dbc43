"""What a judgement comes to, and the one sentence about it."""

import pytest

from skiploop import Program
from skiploop.evaluation.outcome import Goal, outcome
from skiploop.evaluation.policy_table import policy_rows
from skiploop.evaluation.records import Record
from skiploop.report.outcome import outcome_sentence

IDENTITY, SHORT = Program.identity(6), Program.parse("2:3x0", 6)
N = 200


def rows(**policies):
    """Return rows of policies, each so many fixed and so many broken, with one program."""
    records = [record("identity", i, i >= N // 2, IDENTITY) for i in range(N)]
    for policy, (fixed, broken, program) in policies.items():
        right = [i < fixed or i >= N // 2 + broken for i in range(N)]
        name = policy.replace("_", ":")
        records += [record(name, i, correct, program) for i, correct in enumerate(right)]
    return policy_rows(records)


def record(policy, i, correct, program):
    return Record(
        policy=policy,
        example_id=str(i),
        rank=0,
        program=program,
        correct=correct,
        n_tokens=1,
        text="",
    )


GAIN, SAME, LOSS = (30, 5), (0, 0), (2, 30)


@pytest.mark.parametrize(
    ("goal", "policies", "is_more_right", "is_shorter", "begins"),
    [
        (Goal.accuracy, {"selector": (*GAIN, SHORT)}, True, False, "More is right: 62.5 % of 200"),
        (Goal.accuracy, {"selector": (*SAME, SHORT)}, False, False, "Nothing is shown; the plain"),
        (Goal.accuracy, {"selector": (*LOSS, SHORT)}, False, False, "Nothing is shown; the plain"),
        (Goal.layers, {"selector_5": (*SAME, SHORT)}, False, True, "Layers are saved: 5.0 layer"),
        (Goal.layers, {"selector_5": (*GAIN, SHORT)}, False, True, "Layers are saved: 5.0 layer"),
        (Goal.layers, {"selector_5": (*GAIN, IDENTITY)}, False, False, "Nothing is shown; the"),
        (Goal.layers, {"selector_5": (10, 9, SHORT)}, False, False, "Nothing is shown; the plain"),
        (Goal.layers, {}, False, False, "Nothing is shown; the plain model is kept: no program"),
    ],
)
def test_a_goal_is_reached_or_the_plain_model_is_kept(
    goal, policies, is_more_right, is_shorter, begins
):
    found = outcome(rows(**policies), goal)
    assert (found.is_more_right, found.is_shorter) == (is_more_right, is_shorter)
    assert outcome_sentence(found).startswith(begins)
    assert found.figures()["policy"] == (found.best.policy if found.is_shown else "identity")


@pytest.mark.parametrize(
    ("selector", "limited", "best"),
    [
        ((*GAIN, SHORT), (*GAIN, SHORT), "selector:5"),  # both at once
        ((*GAIN, SHORT), (*SAME, SHORT), "selector"),  # more right answers come first
        ((*SAME, SHORT), (*SAME, SHORT), "selector:5"),
    ],
)
def test_of_both_goals_the_one_that_is_reached_is_told(selector, limited, best):
    assert outcome(rows(selector_5=limited, selector=selector), Goal.both).best.policy == best


def test_the_sentence_says_what_is_gained_at_how_many_layers_and_how_sure():
    sentence = outcome_sentence(outcome(rows(selector=(*GAIN, SHORT)), Goal.accuracy))
    assert sentence == (
        "More is right: 62.5 % of 200 held-out questions are answered right in place of 50.0 % "
        "(+12.5 points, 95 % interval +7.2 to +18.5; 30 fixed, 5 broken, p < 0.001), at 5.0 layer "
        "passes (5.0 where the answer is right) in place of 6."
    )


def test_a_choice_that_keeps_the_plain_model_has_nothing_to_show():
    sentence = outcome_sentence(outcome(rows(selector=(*SAME, IDENTITY)), Goal.accuracy))
    assert sentence == (
        "Nothing is shown; the plain model is kept: no choice was shown to help while it was "
        "learned, and it is right on 50.0 % of 200 held-out questions."
    )
