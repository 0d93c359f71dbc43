import pytest

from skiploop import Program
from skiploop.errors import DataError
from skiploop.evaluation.search_table import SearchOutcome, search_table
from skiploop.jsontext import plain
from skiploop.stats import Paired, Share

N = 6
IDENTITY = Program.identity(N)
SKIP = Program.parse("1:2x0", N)
LOOP = Program.parse("3:4x2", N)
BOTH = Program.parse("1:2x0 3:4x2", N)  # as long as the model
SHORT_BOTH = Program.parse("0:2x0 3:4x2", N)


def outcome(name, *, base, right=(), control=()):
    """A search in which the identity has verdict `base` and the programs in `right` are right."""
    search = [(IDENTITY, base)]
    search += [(program, program in right) for program in (SKIP, LOOP, BOTH, SHORT_BOTH)]
    return SearchOutcome(name, search, control)


def test_the_table_agrees_with_the_conformance_case(conformance):
    (case,) = [c for c in conformance["metrics"] if c["id"] == "skip_loop_table"]
    table = search_table(
        [
            outcome("base-solved", base=True),
            outcome("base-solved+skip alt", base=True, right={SKIP}),
            outcome("rescued by skip-only", base=False, right={SKIP}),
            outcome("rescued by repeat-only", base=False, right={LOOP}),
            outcome("rescued by both", base=False, right={BOTH}),
            outcome("unsolved", base=False),
        ]
    )
    assert table.base.value == pytest.approx(case["base"])
    assert table.skip_oracle.value == pytest.approx(case["skip"])
    assert table.loop_oracle.value == pytest.approx(case["loop"])
    assert table.skip_and_loop_oracle.value == pytest.approx(case["skip_and_loop"])


def test_programs_have_the_kinds_of_the_conformance_case(conformance):
    (case,) = [c for c in conformance["metrics"] if c["id"] == "op_class"]
    kinds = {"identity": IDENTITY, "skip-only": SKIP, "repeat-only": LOOP, "both": BOTH}
    assert set(kinds) == set(case["examples"])
    assert [p.kind for p in kinds.values()] == ["identity", "skip", "loop", "skip+loop"]


def test_shorter_programs_are_counted_among_right_and_among_wrong_base_answers():
    table = search_table(
        [
            outcome("a", base=True, right={SKIP}),
            outcome("b", base=True, right={LOOP, BOTH}),
            outcome("c", base=False, right={LOOP}),
            outcome("d", base=False, right={SHORT_BOTH}),
            outcome("e", base=False),
        ]
    )
    assert table.base_right_shorter_oracle == Share(1, 2)
    assert table.base_wrong_fixed_oracle == Share(2, 3)
    assert table.base_wrong_fixed_shorter_oracle == Share(1, 3)
    assert table.n_evaluations == 25
    assert table.chance is None


def test_a_question_with_an_ungraded_base_answer_is_left_out_of_every_share():
    graded = outcome("a", base=False, right={SKIP})
    ungraded = outcome("b", base=None, right={SKIP, LOOP})
    alone, both = search_table([graded]), search_table([graded, ungraded])
    assert both.n_ungraded_examples == 1
    assert both.skip_and_loop_oracle == alone.skip_and_loop_oracle == Share(1, 1)
    assert both.n_evaluations == alone.n_evaluations


def test_an_ungraded_program_counts_as_not_tried():
    table = search_table([SearchOutcome("a", [(IDENTITY, False), (SKIP, None), (LOOP, True)])])
    assert table.skip_oracle == Share(0, 1)
    assert table.loop_oracle == Share(1, 1)
    assert table.n_ungraded_evaluations == 1


def test_the_chance_control_is_given_the_base_answer_that_the_search_starts_with():
    table = search_table(
        [
            outcome("a", base=True, control=[(SKIP, False)] * 4),
            outcome("b", base=False, right={SKIP}, control=[(LOOP, False)] * 3 + [(SKIP, True)]),
            outcome("c", base=False, right={SHORT_BOTH}, control=[(LOOP, False)] * 4),
            outcome("d", base=False, right={SKIP}, control=[(LOOP, None)] * 4),
        ]
    )
    assert table.chance.n_evaluations == 16
    assert table.chance.random_oracle == Share(1, 4)
    assert table.chance.base_or_random_oracle == Share(2, 4)
    assert table.chance.search_against_random == Paired(2, 0, 4)


def test_equal_questions_count_as_one_against_chance():
    tried = [(IDENTITY, False), (SKIP, True)]
    outcomes = [SearchOutcome(name, tried, [(LOOP, False)], name[0]) for name in ("a1", "a2", "b")]
    found = search_table(outcomes).chance.search_against_random
    assert found == Paired(3, 0, 3, tied=((2, 0),))
    assert found.p == pytest.approx(0.5)


def test_search_and_chance_are_compared_at_the_shorter_of_both_lists():
    found_late = [(IDENTITY, False), (SKIP, False), (LOOP, True)]
    table = search_table([SearchOutcome("a", found_late, [(SKIP, False)])])
    assert table.skip_and_loop_oracle == Share(1, 1)
    assert table.chance.search_against_random == Paired(0, 0, 1)
    more_random = [(SKIP, False), (LOOP, False), (BOTH, True)]
    table = search_table([SearchOutcome("a", found_late, more_random)])
    assert table.chance.random_oracle == Share(0, 1)


def test_every_number_that_looked_at_the_answer_is_called_an_oracle():
    table = search_table([outcome("a", base=True, control=[(SKIP, True)] * 4)])
    data = plain(table)
    shares = {k for k, v in data.items() if isinstance(v, dict) and k not in ("base", "chance")}
    assert len(shares) == 6
    assert all(name.endswith("_oracle") for name in shares)
    assert {k for k in data["chance"] if not k.endswith("_oracle")} == {
        "n_evaluations",
        "search_against_random",
    }


def test_an_empty_search_has_no_shares():
    table = search_table([])
    assert table.base.value is None
    assert table.chance is None


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([outcome("a", base=True), outcome("a", base=True)], "'a' comes twice"),
        ([SearchOutcome("a", [(SKIP, True)])], "'a' does not start with the identity"),
        ([SearchOutcome("a", [])], "'a' does not start with the identity"),
        (
            [outcome("a", base=True, control=[(SKIP, True)] * 4), outcome("b", base=True)],
            "'b' has no random programs",
        ),
    ],
)
def test_outcomes_that_make_no_table_are_refused(outcomes, message):
    with pytest.raises(DataError, match=message):
        search_table(outcomes)
