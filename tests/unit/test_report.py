import json
import random
from dataclasses import replace
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop import Program
from skiploop.errors import DataError, RunError
from skiploop.evaluation.policy_table import policy_rows
from skiploop.evaluation.records import Record, read_records, write_records
from skiploop.evaluation.risk_table import RiskRow, risk_rows
from skiploop.evaluation.search_table import SearchOutcome, search_table
from skiploop.evaluation.wall_time import Timing
from skiploop.jsontext import plain
from skiploop.report.conclusions import conclusions, fewest_fixed
from skiploop.report.markdown import report_tables
from skiploop.report.report import build_report
from skiploop.report.tables.policies import policies_table
from skiploop.report.tables.search import search_words
from skiploop.report.write import write_report
from skiploop.stats import Paired, Share, holm, holm_tests, mcnemar_exact
from skiploop.tasks.base import Example

N = 4
IDENTITY = Program.identity(N)
SHORT = Program.parse("1:2x0", N)
LONG = Program.parse("2:4x2", N)
SAME = Program.parse("1:2x0 2:3x2", N)


def record(policy, example_id, correct, *, program=IDENTITY, rank=0, n_tokens=2, text="7"):
    return Record(
        policy=policy,
        example_id=example_id,
        rank=rank,
        program=program,
        correct=correct,
        n_tokens=n_tokens,
        text=text,
    )


def answers(policy, verdicts, programs=IDENTITY):
    """One top-1 record a question; `programs` is one for all or one for each."""
    chosen = [programs] * len(verdicts) if isinstance(programs, Program) else programs
    return [
        record(policy, f"q{i}", verdict, program=program)
        for i, (verdict, program) in enumerate(zip(verdicts, chosen, strict=True))
    ]


def small_report(**changes):
    records = [
        *answers("identity", [True, False, False, True]),
        *answers("polar", [True, True, None, False], [SHORT, LONG, SAME, IDENTITY]),
        record("polar", "q0", False, rank=1),
        record("polar", "q2", True, rank=1, program=LONG),
    ]
    examples = [Example(id=f"q{i}", question=f"What is {i}?", gold=str(i)) for i in range(4)]
    outcome = SearchOutcome("q0", [(IDENTITY, False), (SHORT, True)], [(LONG, False)])
    arguments = {
        "title": "toy, test, tiny",
        "examples": examples,
        "search": search_table([outcome]),
        "timing": Timing(16, {"identity": [1.0, 3.0, 2.0], "polar": [1.0, 1.0]}),
        "provenance": {"python": "3.11", "torch": None},
    }
    return build_report(records, **{**arguments, **changes})


def test_a_row_counts_by_hand():
    identity, polar = small_report().policies
    assert identity.accuracy == Share(2, 4)
    assert identity.against_identity is None
    assert identity.verdict is None
    assert polar.accuracy == Share(2, 3)
    assert polar.n_ungraded == 1
    assert polar.against_identity == Paired(only_first=1, only_second=1, total=3)
    assert polar.p_holm == 1.0
    assert polar.identity_share == Share(1, 4)
    assert polar.mean_slots == (3 + 6 + 4 + 4) / 4
    assert polar.mean_new_tokens == 2
    assert polar.n_skipped == (0, 2, 0, 0)
    assert polar.n_repeated == (0, 0, 2, 1)


def test_an_oracle_counts_any_right_answer_and_takes_ungraded_ones_as_not_tried():
    _, polar = small_report().policies
    # q0 right, q1 right, q2 ungraded then right, q3 wrong.
    assert polar.oracle == {2: Share(3, 4)}
    rows = policy_rows([record("a", "q", None), record("a", "q", None, rank=1, program=SHORT)])
    assert rows[0].oracle == {2: Share(0, 0)}


def test_a_later_right_program_helps_the_oracle_but_not_top_1():
    row = policy_rows([record("a", "q", False), record("a", "q", True, rank=1, program=SHORT)])[0]
    assert row.accuracy == Share(0, 1)
    assert row.oracle[2] == Share(1, 1)


def test_lengths_come_with_the_identity_on_the_same_questions():
    identity, polar = small_report().policies
    assert {b.reference for b in identity.by_length} == {None}
    found = {b.length: (b.n_examples, b.accuracy, b.reference) for b in polar.by_length}
    assert found == {
        "shorter": (1, Share(1, 1), Share(1, 1)),
        "equal": (2, Share(0, 1), Share(1, 2)),
        "longer": (1, Share(1, 1), Share(0, 1)),
    }


def test_p_values_are_adjusted_over_all_policies_but_the_identity():
    n = 20
    right, wrong = [True] * n, [False] * n
    rows = policy_rows(
        [
            *answers("half", [True] * 7 + [False] * 13, SHORT),
            *answers("identity", wrong),
            *answers("all", right, LONG),
            *answers("same", wrong, SAME),
        ]
    )
    assert [row.policy for row in rows] == ["identity", "half", "all", "same"]
    half, everything, same = (row.p_holm for row in rows[1:])
    assert everything == pytest.approx(3 * mcnemar_exact(n, 0))
    assert half == pytest.approx(2 * mcnemar_exact(7, 0))
    assert same == 1.0
    assert [row.verdict for row in rows] == [None, "better", "better", "no difference shown"]


def test_a_policy_that_breaks_answers_is_called_worse():
    rows = policy_rows([*answers("identity", [True] * 8), *answers("bad", [False] * 8, SHORT)])
    assert rows[1].verdict == "worse"
    assert rows[1].against_identity.difference == -1


def test_six_fixed_questions_are_the_fewest_that_one_test_can_show():
    assert fewest_fixed(1) == 6
    assert mcnemar_exact(6, 0) < 0.05 <= mcnemar_exact(5, 0)
    assert fewest_fixed(3) == 7
    assert 3 * mcnemar_exact(7, 0) < 0.05 <= 3 * mcnemar_exact(6, 0)


def test_each_row_says_how_much_it_must_fix_where_its_own_test_is_compared():
    n = 40
    rows = policy_rows(
        [
            *answers("identity", [False] * n),
            *answers("a", [True] * 30 + [False] * 10, SHORT),
            *answers("b", [True] * 6 + [False] * 34, LONG),
        ]
    )
    assert [row.verdict for row in rows] == [None, "better", "better"]
    assert [row.figures()["fewest_fixed"] for row in rows] == [None, 7, 6]
    table = policies_table(rows)
    column = table.header.index("must fix, none broken")
    assert [row[column] for row in table.rows] == ["–", "7", "6"]  # noqa: RUF001
    report = build_report(
        [*answers("identity", [False] * n), *answers("a", [True] * n), *answers("b", [True] * n)],
        title="t",
    )
    assert conclusions(report)[-1].endswith("at least 7 (a); 6 (b) to be called better.")


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 4))
def test_a_row_that_fixes_as_many_as_it_must_is_a_difference(fixed, index):
    index %= len(fixed)
    p_values = [mcnemar_exact(n, 0) for n in fixed]
    n_tests = holm_tests(p_values)[index]
    is_shown = holm(p_values)[index] < 0.05
    assert is_shown == (fixed[index] >= fewest_fixed(n_tests))


def test_layers_are_told_apart_for_right_answers_and_for_those_of_the_plain_model():
    identity, polar = small_report().policies
    # q0 right in 3 layers, q1 right in 6, q2 ungraded in 4, q3 wrong in 4; the identity: q0, q3.
    assert (polar.mean_slots, polar.mean_slots_right, polar.mean_slots_kept) == (4.25, 4.5, 3.5)
    assert identity.mean_slots_right == identity.mean_slots_kept == 4
    table = next(t for t in report_tables(small_report()) if t.title == "Executed layers")
    assert table.rows[1][2:] == ("4.25", "4.50", "3.50")
    wrong = policy_rows(answers("identity", [False]))[0]
    assert wrong.figures()["mean_slots_right"] is None


def test_without_an_identity_there_is_nothing_to_compare_with():
    report = build_report(answers("polar", [True, False], SHORT), title="toy")
    assert report.policies[0].against_identity is None
    assert report.policies[0].by_length[0].reference is None
    assert conclusions(report) == []


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a", "q", True), record("a", "q", True)], r"ranks \[0, 0\] for 'q'"),
        ([record("a", "q", True, rank=1)], r"ranks \[1\] for 'q'"),
        (
            [*answers("a", [True, True, True]), record("b", "q0", True)],
            "'b' has no answer to 'q1' and 1 more",
        ),
        (
            [record("a", "q", True), record("a", "r", True, program=Program.identity(9))],
            r"models with \[4, 9\] layers",
        ),
    ],
)
def test_records_that_make_no_table_are_refused(records, message):
    with pytest.raises(DataError, match=message):
        policy_rows(records)


def test_only_contradicting_verdicts_are_shown_as_changed_answers():
    changed = small_report().changed_answers
    assert [(s.policy, s.change, s.example_id) for s in changed] == [
        ("polar", "fixed", "q1"),
        ("polar", "broken", "q3"),
    ]
    assert changed[0].gold == "1"
    assert changed[0].program == "2:4x2"


def test_long_texts_are_shortened_in_the_middle():
    text = "a" * 5000 + "end"
    records = [record("identity", "q", False), record("p", "q", True, program=SHORT, text=text)]
    example = Example(id="q", question="?", gold="1")
    (change,) = build_report(records, title="t", examples=[example]).changed_answers
    assert len(change.policy_text) < 500
    assert change.policy_text.endswith("end")


def test_time_ratios_are_medians_over_the_identity():
    timing = small_report().timing
    assert timing.ratio("polar") == 0.5
    assert timing.ratio("identity") == 1.0
    assert timing.ratio("other") is None
    with pytest.raises(DataError, match="wall times of 'polar'"):
        Timing(16, {"polar": []})


def test_the_spread_of_a_ratio_comes_from_its_prompts():
    prompt_s = {"identity": [1.0, 2.0, 1.0, 2.0], "even": [0.5, 1.0, 0.5, 1.0]}
    prompt_s["uneven"] = [0.4, 2.2, 1.0, 1.0]
    timing = Timing(16, {name: [sum(s)] for name, s in prompt_s.items()}, prompt_s=prompt_s)
    assert timing.spread("identity") == timing.spread("even") == 0
    ratio = timing.ratio("uneven")
    left = [u - ratio * i for u, i in zip(prompt_s["uneven"], prompt_s["identity"], strict=True)]
    by_hand = 3.182446 * stdev(left) / 2 / 1.5
    assert timing.spread("uneven") == pytest.approx(by_hand, rel=1e-5)
    assert not timing.is_sure_to(by_hand - 0.001) and timing.is_sure_to(by_hand + 0.001)
    assert Timing(16, {"identity": [1.0]}).spread("identity") is None
    (table,) = (t for t in report_tables(small_report(timing=timing)) if "Wall time" in t.title)
    assert f"{ratio:.2f} ± {by_hand:.2f}" in table.rows[2] and "1 prompts" in table.note


def test_choosing_counts_for_every_prompt_and_only_against_the_policy():
    walls = {"identity": [2.0], "polar": [1.0], "other": [4.0]}
    timing = Timing(16, walls, {"identity": 0.001, "polar": 0.5}, n_prompts=4)
    assert timing.ratio("polar") == 0.5
    assert timing.ratio_with_choosing("polar") == (1.0 + 4 * 0.5) / 2.0
    assert timing.ratio_with_choosing("other") is None  # nothing is known of its choosing
    table = policies_table(small_report(timing=timing).policies, timing).transposed()
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["wall time, identity = 1"] == ("1.00", "0.50")
    assert rows["wall time with choosing"] == ("1.00", "1.50")


def test_times_stand_nowhere_but_under_timing(tmp_path):
    slow = Timing(16, {"identity": [10.0], "polar": [70.0]})
    fast, slow = plain(small_report()), plain(small_report(timing=slow))
    assert fast.pop("timing") != slow.pop("timing")
    assert fast == slow


def test_equal_records_give_equal_bytes_in_any_order(tmp_path):
    records = [
        *answers("identity", [True, False, True]),
        *answers("a", [False, True, True], [SHORT, LONG, SAME]),
    ]
    shuffled = records[1:]
    random.Random(3).shuffle(shuffled)
    texts = []
    for name, given_records in (("one", records), ("two", [records[0], *shuffled])):
        (tmp_path / name).mkdir()
        report = build_report(given_records, title="t", provenance={"python": "3"})
        texts.append([path.read_bytes() for path in write_report(tmp_path / name, report)])
    assert texts[0] == texts[1]


def test_two_files_and_a_folder_are_written_and_nothing_else_is_left(tmp_path):
    (tmp_path / "report.md").write_text("old")
    written = write_report(tmp_path, small_report())
    assert {p.name for p in tmp_path.iterdir()} == {"report.json", "report.md", "report"}
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == set(written)
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data == plain(small_report())
    assert data["policies"][1]["accuracy"]["total"] == 3
    assert (tmp_path / "report.md").read_text().startswith("# toy, test, tiny\n")


def test_a_missing_run_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        write_report(tmp_path / "none", small_report())


def test_the_report_of_a_search_needs_no_records(tmp_path):
    report = build_report([], title="search", search=small_report().search)
    paths = write_report(tmp_path, report)
    assert "Any program (Skip & Loop), oracle" in report_tables(report)[0].rows[3][0]
    assert "Policies" not in paths[1].read_text()


def test_the_oracle_column_says_that_it_looks_at_the_answer():
    report = small_report()
    table = policies_table(report.policies)
    column = table.header.index("oracle@2, % (looks at the answer)")
    assert [row[column] for row in table.rows] == ["–", "75.0"]  # noqa: RUF001
    assert "top-1 accuracy" in table.header[column - 4]
    only_top = policies_table(policy_rows(answers("identity", [True])))
    assert not any("oracle" in name for name in only_top.header)


def test_an_oracle_over_fewer_programs_than_the_column_names_its_own_k():
    two = [record("two", "q", False), record("two", "q", True, rank=1, program=SHORT)]
    three = [record("three", "q", False, rank=k, program=p) for k, p in enumerate([SHORT, LONG])]
    three.append(record("three", "q", False, rank=2, program=SAME))
    table = policies_table(policy_rows([*two, *three]))
    column = table.header.index("oracle@3, % (looks at the answer)")
    assert [row[column] for row in table.rows] == ["100.0 (k = 2)", "0.0"]


def test_a_search_without_control_says_that_it_has_nothing_to_be_compared_with():
    table = search_table([SearchOutcome("q", [(IDENTITY, True), (SHORT, True)])])
    assert "No chance control was run" in search_words(table).note
    assert "No chance control" not in search_words(small_report().search).note


def test_markdown_cells_cannot_break_the_table(tmp_path):
    records = [*answers("identity", [True]), *answers("a|b\n<i>*x*", [False], SHORT)]
    text = write_report(tmp_path, build_report(records, title="t"))[1].read_text()
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| policy"))
    row = lines[start + 3]
    assert row.startswith("| a\\|b &lt;i>\\*x\\* |")
    assert row.replace("\\|", "").count("|") == lines[start].count("|")


def test_conclusions_name_the_policies_by_verdict():
    lines = conclusions(small_report())
    assert lines == [
        "No difference from the identity shown (adjusted p, 5 %): polar.",
        "With 1 tested, a policy that breaks no answer must fix at least 6 to be called better.",
    ]


@given(
    st.lists(
        st.builds(
            Record,
            policy=st.text(),
            example_id=st.text(),
            rank=st.integers(0, 9),
            program=st.sampled_from([IDENTITY, SHORT, LONG, SAME]),
            correct=st.none() | st.booleans(),
            n_tokens=st.integers(0, 99),
            text=st.text(),
            confidence=st.none() | st.floats(0, 1),
            extra_passes=st.integers(0, 9) | st.floats(-3, 3),
            kv_bytes=st.none() | st.integers(0),
        ),
        max_size=5,
    )
)
def test_records_survive_their_file(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    write_records(path, records)
    assert read_records(path) == records


def test_a_record_of_an_older_version_has_no_key_value_bytes(tmp_path):
    older = record("a", "q", True).to_dict()
    del older["kv_bytes"]
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(older) + "\n")
    assert read_records(path) == [record("a", "q", True)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": 1}, "line 2: correct of a record is 1"),
        ({"n_tokens": True}, "line 2: n_tokens of a record is True"),
        ({"confidence": 1}, "line 2: confidence of a record is 1"),
        ({"extra": 1}, "line 2: .* is no record: expected the keys"),
        ({"program": "3:9x0"}, "line 2: record of 'q': edit 3:9x0 ends after layer 3"),
        ({"n_slots": 9}, "line 2: record of 'q': n_slots is 9, but identity has 4"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_its_number(tmp_path, change, message):
    good = record("a", "q", True).to_dict()
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, **change}) + "\n")
    with pytest.raises(DataError, match=message):
        read_records(path)


def test_a_cut_off_file_of_records_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(record("a", "q", True).to_dict())[:-9])
    with pytest.raises(DataError, match="line 1: no JSON"):
        read_records(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "none.jsonl")


def test_equal_questions_count_as_one_in_every_test_on_pairs():
    records = [
        *answers("identity", [False] * 16),
        *answers("polar", [True] * 16),
        *answers("static", [False] * 16),
    ]
    examples = [Example(f"q{i}", f"What is {i // 4} + 1{' ' * (i % 4)}?", "7") for i in range(16)]
    report = build_report(records, title="toy", examples=examples)
    polar = next(row for row in report.policies if row.policy == "polar")
    assert polar.against_identity.difference == 1.0
    assert polar.against_identity.p == pytest.approx(mcnemar_exact(4, 0))
    assert polar.verdict == "no difference shown"
    assert report.pairs[0].paired.p == pytest.approx(mcnemar_exact(4, 0))
    alone = build_report(records, title="toy")
    assert next(row for row in alone.policies if row.policy == "polar").verdict == "better"


def test_categories_and_pairs_count_by_hand():
    records = [
        *answers("identity", [True, False, False, True]),
        *answers("polar", [True, True, None, False]),
        *answers("static", [False, True, True, True]),
    ]
    examples = [Example(f"q{i}", f"{i}?", "7", category="ab"[i % 2]) for i in range(4)]
    report = build_report(records, title="toy", examples=examples)
    assert [row.category for row in report.categories] == ["a", "b"]
    assert report.categories[0].accuracy["polar"] == Share(1, 1)
    assert report.categories[1].accuracy["static"] == Share(2, 2)
    (pair,) = report.pairs
    assert (pair.first, pair.second) == ("polar", "static")
    assert pair.paired == Paired(only_first=1, only_second=1, total=3)
    titles = [table.title for table in report_tables(report)]
    assert {"By category of question", "Policies against each other"} <= set(titles)
    assert small_report().categories == small_report().pairs == ()


def with_confidences(policy, verdicts, confidences):
    found = zip(answers(policy, verdicts), confidences, strict=True)
    return [replace(record, confidence=confidence) for record, confidence in found]


def test_the_surest_answers_count_by_hand():
    right = [True, False, True, False, None]
    records = [
        *with_confidences("identity", right, [0.9, 0.2, 0.4, 0.1, 0.95]),
        *with_confidences("vote:3", right, [0.5, 0.5, 0.7, 0.1, 0.2]),
        *answers("old", right),
    ]
    records.append(replace(records[1], rank=1, confidence=1.0))  # not what the policy would use
    assert risk_rows(reversed(records)) == [
        RiskRow("vote:3", 100, 0.1, Share(2, 4)),
        RiskRow("vote:3", 75, 0.5, Share(2, 3)),
        RiskRow("vote:3", 50, 0.5, Share(2, 3)),  # two are equally sure
        RiskRow("vote:3", 25, 0.7, Share(1, 1)),
        RiskRow("identity", 100, 0.1, Share(2, 4)),
        RiskRow("identity", 75, 0.2, Share(2, 3)),
        RiskRow("identity", 50, 0.4, Share(2, 2)),
        RiskRow("identity", 25, 0.9, Share(1, 1)),
    ]


def test_the_surest_answers_are_a_table_where_confidences_are_known():
    report = build_report(with_confidences("identity", [True, False], [0.25, 0.5]), title="toy")
    (table,) = (t for t in report_tables(report) if t.title == "Right answers among the surest")
    assert table.rows[0][:3] == ("identity", "100", "2") and table.rows[0][-1] == "0.2500"
    assert "on other questions" in table.note
    assert plain(report)["risk"][-1]["threshold"] == 0.5
    assert small_report().risk == ()
