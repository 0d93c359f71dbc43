"""What the command line shows: tables of any width, time that is left, answers as they grow."""

import pytest
from rich.console import Console

from skiploop.cli.answers import Answers
from skiploop.cli.columns import parts
from skiploop.cli.console import print_table
from skiploop.cli.lines import ProgressLines
from skiploop.report.table import Table

NAMES = ("identity", "selector:28.5", "smollm2-135m/arithmetic", "shuffled:open")
CELLS = ("200", "40.9 (38.4 to 43.4)", "+9.6 (225 / 81)", "shown to help and to hurt nobody")
HEADER = (
    "policy",
    "graded",
    "top-1 accuracy, % (95 % interval)",
    "points over identity",
    "verdict",
)
TABLE = Table("Policies", HEADER, tuple((name, *CELLS) for name in NAMES))


def printed(table, width):
    console = Console(width=width)
    with console.capture() as capture:
        for part in parts(table, width):
            console.print(part)
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 112, 300])
@pytest.mark.parametrize("table", [TABLE, TABLE.transposed()])
def test_a_table_fits_its_width_and_breaks_no_word(table, width):
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    words = {word for row in (table.header, *table.rows) for cell in row for word in cell.split()}
    assert words <= set(text.split()) or width == 40  # narrower than two of the words


def test_columns_that_do_not_fit_come_below_with_the_names_of_the_rows():
    text = printed(TABLE, 60)
    assert text.count("smollm2-135m/arithmetic") == len(list(parts(TABLE, 60))) > 1
    assert len(list(parts(TABLE, 300))) == 1


def test_a_word_that_is_longer_than_the_terminal_is_folded_and_one_column_is_a_table():
    text = printed(Table("", ("path",), (("x" * 100,),)), 40)
    assert text.count("x") == 100 and max(map(len, text.splitlines())) <= 40


def test_a_long_word_in_the_first_column_leaves_room_for_numbers():
    rows = (("jsonl:" + "x" * 200, "4,800", "0.207"),)
    text = printed(Table("", ("part", "answers", "hours"), rows), 80)
    assert "4,800" in text and "0.207" in text and text.count("x") == 200


def test_a_table_is_as_wide_as_the_terminal_with_its_title_and_note(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    print_table(Table("A title", *(HEADER, TABLE.rows), "What the numbers are."))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A title" and "What the numbers are." in lines
    assert max(map(len, lines)) <= 80


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_time_that_is_left_is_said_at_growing_intervals():
    said, clock = [], Clock()
    lines = ProgressLines(said.append, clock)
    task = lines.add_task("search", total=None, facts="")
    lines.update(task, total=10_000)
    told_at = []
    for second in range(1, 1000):
        clock.now = float(second)
        lines.update(task, completed=2 * second, facts="base 3 of 4 right")
        if len(said) > len(told_at):
            told_at.append(second)
    assert told_at == [6, 16, 36, 76, 156, 316, 636]
    assert said[0] == "search: 12 of 10,000, about 1 h 23 min to go (base 3 of 4 right)"


def test_what_was_done_before_makes_nobody_look_fast():
    said, clock = [], Clock()
    lines = ProgressLines(said.append, clock)
    task = lines.add_task("search", total=None, facts="")
    lines.update(task, total=1000)
    clock.now = 100.0  # the model was loaded
    lines.update(task, completed=900)  # stored by an earlier run
    clock.now = 110.0
    lines.update(task, completed=910)
    assert said == ["search: 910 of 1,000, about 2 min to go"]


def test_work_of_unknown_length_is_counted():
    said, clock = [], Clock()
    lines = ProgressLines(said.append, clock)
    task = lines.add_task("menu", total=None, facts="")
    for clock.now, completed in ((0.0, 2), (6.0, 7)):
        lines.update(task, completed=completed)
    assert said == ["menu: 7"]


def test_a_single_answer_is_printed_as_it_grows(capsys):
    shown, seen = Answers(["identity"], strips=False), []
    for text in (" ", " The", " The cat", " The cat"):
        shown.told(0, text)
        seen.append(capsys.readouterr().out)
    shown.finish([])
    assert seen == [" ", "The", " cat", ""] and capsys.readouterr().out == "\n"


def test_spaces_around_an_answer_are_not_printed(capsys):
    shown = Answers(["RUN"], strips=True)
    for text in (" ", " New", " New ", " New York "):
        shown.told(0, text)
    shown.finish([])
    assert capsys.readouterr().out == "New York\n"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["identity"], "The cat\n"), (["identity", "3:5x0"], "[identity] The cat\n[3:5x0] A dog\n")],
)
def test_what_was_written_survives_ctrl_c(capsys, labels, expected):
    shown = Answers(labels, strips=False)
    with pytest.raises(KeyboardInterrupt), shown.interruptible():
        shown.told(0, "The cat")
        if len(labels) > 1:
            shown.told(1, "A dog")
        raise KeyboardInterrupt
    assert capsys.readouterr().out == expected
