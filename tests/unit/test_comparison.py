"""The plain file of a comparison: what it keeps, and what is refused."""

import json
from dataclasses import replace

import pytest

from skiploop.errors import DataError
from skiploop.evaluation.comparison import Comparison, Cost, Interval, Row, comparison_files
from skiploop.report.comparison import NOT_FASTER, comparison_tables
from skiploop.stats import Share

PLAIN = Row(
    method="identity",
    accuracy=Share(20, 100),
    n_ungraded=0,
    fixed=0,
    broken=0,
    harm=Share(0, 100),
    p_holm=None,
    verdict=None,
    shuffled=Interval(0.05, 0.02, 0.11),
    beyond=None,
    identity_share=Share(100, 100),
    mean_passes=30.0,
    mean_new_tokens=3.0,
    cost=Cost(time=1.0, time_spread=0.0, time_with_choosing=1.0, training_s=0.0),
)
SHORT = replace(
    PLAIN,
    method="shortgpt:25.5",
    fixed=2,
    broken=12,
    harm=Share(12, 100),
    p_holm=0.013,
    verdict="worse",
    mean_passes=25.0,
    cost=Cost(time=0.99, time_spread=0.02, time_with_choosing=0.99, flops=1.2e9),
)
FOUND = Comparison(
    format=1,
    model="smollm2-135m",
    model_id="a-b-c-d",
    n_layers=30,
    dtype="float32",
    task="arithmetic-2",
    questions="arithmetic-2, version 2",
    trained_on="arithmetic-2, version 2",
    split="test",
    n_questions=100,
    n_read_before=0,
    asked={"policies": ["identity"]},
    settings={"menu": {"size": 6}},
    provenance={"skiploop": "0.1.0", "n_cpus": 2},
    rows=(PLAIN, SHORT),
)


@pytest.fixture
def path(tmp_path):
    FOUND.save(tmp_path / "compare" / "arithmetic.json")
    return tmp_path / "compare" / "arithmetic.json"


def changed(path, **values):
    data = json.loads(path.read_text()) | values
    del data["sha256"]
    path.write_text(json.dumps(data))


def test_a_comparison_survives_its_file(path):
    assert Comparison.load(path) == FOUND


def test_fewer_layers_that_are_not_shown_to_be_faster_are_marked():
    assert SHORT.saves_layers_not_time(30)
    assert NOT_FASTER in comparison_tables(FOUND)[1].rows[1][5]
    assert not replace(SHORT, cost=Cost(time_with_choosing=0.8)).saves_layers_not_time(30)
    assert not replace(SHORT, cost=Cost()).saves_layers_not_time(30)
    assert not PLAIN.saves_layers_not_time(30)


def test_harm_is_the_share_of_all_questions_that_are_broken():
    answers, _ = comparison_tables(FOUND)
    assert answers.rows[1][2] == "-10.0 (2 / 12)" and answers.rows[1][7] == "12.0"


def test_a_field_of_another_type_is_named(path):
    changed(path, n_layers="thirty")
    with pytest.raises(DataError, match=r"arithmetic.json is no comparison: n_layers is 'thirty'"):
        Comparison.load(path)


def test_a_field_of_a_row_is_named(path):
    rows = json.loads(path.read_text())["rows"]
    del rows[1]["accuracy"]
    changed(path, rows=rows)
    with pytest.raises(DataError, match=r"setting 'rows\[1\].accuracy' is missing"):
        Comparison.load(path)


@pytest.mark.parametrize("rows", [[], "many", [{"method": "identity"}]])
def test_rows_that_are_none_are_refused(path, rows):
    changed(path, rows=rows)
    with pytest.raises(DataError, match="is no comparison"):
        Comparison.load(path)


def test_another_format_is_refused(path):
    changed(path, format=2)
    with pytest.raises(DataError, match="format is 2, expected 1"):
        Comparison.load(path)


def test_a_file_that_was_changed_or_cut_off_is_refused(path):
    text = path.read_text()
    path.write_text(text.replace("30", "31", 1))
    with pytest.raises(DataError, match="checksum"):
        Comparison.load(path)
    path.write_text(text[:200])
    with pytest.raises(DataError, match="is no comparison"):
        Comparison.load(path)


def test_files_are_found_in_a_run_in_a_folder_and_alone(path):
    assert comparison_files(path.parent.parent) == [path]
    assert comparison_files(path.parent) == [path]
    assert comparison_files(path) == [path]


def test_a_place_without_comparisons_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="holds no comparison"):
        comparison_files(tmp_path)
