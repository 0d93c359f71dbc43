"""The documented accuracy of the packaged model on each level of arithmetic."""

import re
from pathlib import Path

import pytest

from skiploop.tasks import SPLITS, get_task

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "tasks.md"
LEVELS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def documented():
    row = r"^\| (\d) \| .* \| (\d+) / (\d+) / (\d+) \| (\d\.\d\d) \|$"
    rows = re.findall(row, DOCS.read_text(), re.MULTILINE)
    return {int(level): (tuple(map(int, n)), float(share)) for level, *n, share in rows}


@pytest.fixture(scope="module")
def stack():
    import skiploop

    return skiploop.load("smollm2-135m", dtype="float32")


def test_the_documented_levels_leave_room_in_both_directions(documented):
    shares = [documented[level][1] for level in LEVELS]
    assert shares == sorted(shares, reverse=True)
    assert 0.6 < shares[0] < 0.9
    assert all(0.1 < share < 0.4 for share in shares[1:3])
    assert all(share < 0.05 for share in shares[3:])


def test_the_documented_sizes_are_right(documented):
    for level in LEVELS:
        task = get_task("arithmetic", level=level)
        assert tuple(len(task.examples(split)) for split in SPLITS) == documented[level][0]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_the_documented_accuracy_is_measured_again(documented, stack, level):
    from skiploop import Program

    task = get_task("arithmetic", level=level)
    examples = task.examples("test")[:200]
    completions = stack.generate(
        [task.prompt(example) for example in examples],
        Program.identity(stack.n_layers),
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
    )
    grades = task.grade_many(examples, [completion.text for completion in completions])
    share = sum(grade.correct is True for grade in grades) / len(grades)
    assert share == pytest.approx(documented[level][1], abs=0.03)
