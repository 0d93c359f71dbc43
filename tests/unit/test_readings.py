"""Which held-out questions a run has read, and what is said of it."""

from dataclasses import replace

import pytest

from skiploop import Program
from skiploop.errors import DataError
from skiploop.evaluation.readings import (
    READINGS,
    Reading,
    read_before,
    read_readings,
    unread,
    write_readings,
)
from skiploop.evaluation.records import Record, write_records
from skiploop.jsontext import plain
from skiploop.report.conclusions import conclusions
from skiploop.report.report import build_report
from skiploop.tasks.base import Example

IDENTITY, SKIP = Program.identity(4), Program.parse("1:2x0", 4)
EVERYTHING = [Example(f"q{i}", f"question {i}", "1") for i in range(6)]
TWIN = Example("twin", "question  0", "1")  # of q0, but for a space


def record(policy, program, example):
    return Record(
        policy=policy,
        example_id=example.id,
        rank=0,
        program=program,
        correct=True,
        n_tokens=1,
        text="1",
    )


def test_readings_are_read_as_written(tmp_path):
    readings = [Reading(("q0", "q1"), ("identity", "selector")), Reading(("q2",), ("static",))]
    write_readings(tmp_path, readings)
    assert read_readings(tmp_path) == readings


def test_a_run_that_was_never_evaluated_has_read_nothing(tmp_path):
    assert read_readings(tmp_path) == []


def test_an_older_run_has_read_what_its_records_judge(tmp_path):
    records = [record("identity", IDENTITY, e) for e in EVERYTHING[:2]]
    write_records(tmp_path / "records.jsonl", records)
    assert read_readings(tmp_path) == [Reading(("q0", "q1"), ("identity",))]


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / READINGS).write_text('{"example_ids": ["q0"], "policies": []}\n{"example_')
    with pytest.raises(DataError, match=r"readings\.jsonl, line 2 is damaged"):
        read_readings(tmp_path)


def test_what_was_read_before_counts_equal_questions_too():
    readings = [Reading(("q0", "q1"), ("static",)), Reading(("q5",), ("vote:5",))]
    before = read_before(readings, [*EVERYTHING, TWIN], [TWIN, *EVERYTHING[1:3]])
    assert (before.n_questions, before.n_read, before.n_times) == (3, 2, 1)
    assert before.policies == ("static",)


def test_unread_questions_leave_out_equals_of_those_read():
    left = unread([Reading(("q0", "q3"), ("static",))], [*EVERYTHING, TWIN])
    assert [example.id for example in left] == ["q1", "q2", "q4", "q5"]


@pytest.mark.parametrize(
    ("readings", "line"),
    [
        ([], "These questions had not been read before in this run."),
        ([Reading(("q0", "q1"), ("static",))], "These questions were read once before"),
        ([Reading(("q1",), ("a",)), Reading(("q1",), ("b",))], "1 of these questions were read 2"),
    ],
)
def test_the_first_lines_of_a_report_say_how_often_its_questions_were_read(readings, line):
    asked = EVERYTHING[:2]
    records = [
        record(policy, program, example)
        for policy, program in (("identity", IDENTITY), ("static", SKIP))
        for example in asked
    ]
    before = read_before(readings, EVERYTHING, asked)
    report = replace(build_report(records, title="t", examples=asked), read_before=before)
    assert any(said.startswith(line) for said in conclusions(report))
    assert plain(report)["read_before"]["n_times"] == len(readings)
