"""The order in which layers run for rows that follow different paths."""

from hypothesis import given
from hypothesis import strategies as st

from skiploop.engine.schedule import Call, keep_rows, schedule
from skiploop.program import Program
from skiploop.space import ProgramSpace

programs = st.integers(0, 2**32).map(ProgramSpace(9, max_block=3, max_runs=3).sample)
batches = st.lists(programs, min_size=1, max_size=6).map(lambda ps: [p.path for p in ps])


def paths_of(calls, n_rows):
    paths = [[] for _ in range(n_rows)]
    for call in calls:
        for row in call.rows:
            paths[row].append(call.layer)
    return [tuple(path) for path in paths]


@given(batches)
def test_every_row_runs_its_path_in_order(paths):
    assert paths_of(schedule(paths), len(paths)) == paths


@given(batches)
def test_a_call_holds_every_row_that_waits_for_its_layer(paths):
    calls = schedule(paths)
    todo = [list(path) for path in paths]
    for call in calls:
        assert call.rows == tuple(r for r, path in enumerate(todo) if path[:1] == [call.layer])
        for row in call.rows:
            todo[row].pop(0)


@given(programs, st.integers(1, 5))
def test_equal_programs_take_one_call_a_slot(program, n_rows):
    calls = schedule([program.path] * n_rows)
    assert calls == [Call(layer, tuple(range(n_rows))) for layer in program.path]


@given(batches)
def test_a_batch_never_takes_more_calls_than_its_rows_alone(paths):
    longest, total = max(map(len, paths)), sum(map(len, paths))
    assert longest <= len(schedule(paths)) <= total


def test_a_looping_row_catches_up_with_the_others():
    paths = [Program.parse(text, 4).path for text in ("identity", "1:3x2", "0:2x0")]
    assert schedule(paths) == [
        Call(0, (0, 1)),
        Call(1, (0, 1)),
        Call(2, (0, 1, 2)),
        Call(1, (1,)),
        Call(2, (1,)),
        Call(3, (0, 1, 2)),
    ]


def test_empty_paths_take_no_call():
    assert schedule([(), ()]) == []


@given(batches, st.data())
def test_rows_that_stay_keep_their_paths(paths, data):
    stay = sorted(data.draw(st.sets(st.sampled_from(range(len(paths))), min_size=1)))
    kept = [keep_rows(call, stay) for call in schedule(paths)]
    assert paths_of([call for call, _ in kept], len(stay)) == [paths[row] for row in stay]
    for (call, positions), before in zip(kept, schedule(paths), strict=True):
        assert [before.rows[p] for p in positions] == [stay[row] for row in call.rows]
