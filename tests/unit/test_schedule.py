"""The order in which layers run for rows that follow different paths."""

from hypothesis import given
from hypothesis import strategies as st

from skiploop.engine.plan.fork import extend, fork
from skiploop.engine.plan.merge import merge
from skiploop.engine.plan.schedule import Call, schedule
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace

programs = st.integers(0, 2**32).map(ProgramSpace(9, max_block=3, max_runs=3).sample)
paths = programs.map(lambda program: program.path)
batches = st.lists(st.tuples(paths, st.integers(0, 2)), min_size=1, max_size=6)


def with_sources(batch):
    """Paths, and sources numbered without gaps."""
    numbers = {source: i for i, source in enumerate(dict.fromkeys(source for _, source in batch))}
    return [path for path, _ in batch], [numbers[source] for _, source in batch]


def path_of(ordered, row):
    layer_of = {c: call.layer for call in ordered.calls for c in range(call.start, call.stop)}
    return tuple(layer_of[node] for node in ordered.chain(row))


def beginnings_of(path):
    return [path[:n] for n in range(1, len(path) + 1)]


@given(batches)
def test_every_row_runs_its_path_in_order(batch):
    paths, sources = with_sources(batch)
    ordered = schedule(paths, sources)
    for row, path in enumerate(paths):
        chain = ordered.chain(row)
        assert path_of(ordered, row) == path
        assert [ordered.beginnings.of(node) for node in chain] == beginnings_of(path)
        assert chain == sorted(chain)
        assert {ordered.sources[node] for node in chain} == {sources[row]}
        assert ordered.leaves[row] == chain[-1]


@given(batches)
def test_a_beginning_that_rows_share_is_computed_once(batch):
    paths, sources = with_sources(batch)
    beginnings = {
        (source, path[:n])
        for path, source in zip(paths, sources, strict=True)
        for n in range(1, len(path) + 1)
    }
    assert schedule(paths, sources).n_nodes == len(beginnings)


@given(st.lists(st.sampled_from(ProgramSpace(9, max_block=4, max_runs=2).single_edits), min_size=1))
def test_programs_of_one_edit_need_a_call_a_layer_and_one_more_for_each_that_some_repeat(edits):
    programs = [Program.identity(9), *map(Program.identity(9).with_edit, edits)]
    repeated = {layer for e in edits if e.runs == 2 for layer in range(e.start, e.stop)}
    assert len(schedule([program.path for program in programs]).calls) == 9 + len(repeated)


@given(batches)
def test_a_call_holds_every_node_that_waits_for_its_layer(batch):
    paths, sources = with_sources(batch)
    ordered = schedule(paths, sources)
    todo = [list(path) for path in paths]
    for call in ordered.calls:
        waiting = [row for row, path in enumerate(todo) if path[:1] == [call.layer]]
        at = [len(paths[row]) - len(todo[row]) for row in waiting]
        nodes = {ordered.chain(row)[n] for row, n in zip(waiting, at, strict=True)}
        assert nodes == set(range(call.start, call.stop))
        for row in waiting:
            todo[row].pop(0)


@given(batches, st.integers(0, 5))
def test_a_schedule_that_is_extended_runs_whole_paths_and_keeps_its_calls(batch, n_first):
    paths, sources = with_sources(batch)
    before = schedule([path[:n_first] for path in paths], sources)
    after = extend(before, [path[n_first:] for path in paths])
    assert after.calls[: len(before.calls)] == before.calls
    assert after.parents[: len(before.parents)].tolist() == before.parents.tolist()
    for row, path in enumerate(paths):
        assert path_of(after, row) == path
        assert [after.beginnings.of(node) for node in after.chain(row)] == beginnings_of(path)
        assert {after.sources[node] for node in after.chain(row)} == {sources[row]}
    assert after.n_nodes == schedule(paths, sources).n_nodes


@given(batches, st.data())
def test_rows_that_go_on_continue_their_own_nodes(batch, data):
    before = schedule(*with_sources(batch))
    some_rows = st.lists(st.sampled_from(range(len(batch))), min_size=1, max_size=8)
    rows = data.draw(some_rows)
    draws = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    sources = with_sources([((), source) for source in draws])[1]
    forked = fork(before, rows, sources)
    continued = {}
    for call, index, nodes in zip(forked.schedule.calls, forked.calls, forked.nodes, strict=True):
        assert call.layer == before.calls[index].layer
        for node, position in zip(range(call.start, call.stop), nodes, strict=True):
            continued[node] = before.calls[index].start + position
    for new, (row, source) in enumerate(zip(rows, sources, strict=True)):
        chain = forked.schedule.chain(new)
        assert [continued[node] for node in chain] == before.chain(row)
        assert [forked.schedule.beginnings.of(node) for node in chain] == beginnings_of(
            batch[row][0]
        )
        assert {forked.schedule.sources[node] for node in chain} <= {source}
    assert forked.schedule.n_nodes == len({
        (source, node)
        for row, source in zip(rows, sources, strict=True)
        for node in before.chain(row)
    })  # fmt: skip


@given(batches, batches, st.data())
def test_rows_that_are_merged_continue_their_own_nodes_in_the_best_order(one, other, data):
    parts, paths = [], []
    for batch in (one, other):
        rows = data.draw(st.lists(st.sampled_from(range(len(batch))), min_size=1, unique=True))
        parts.append((schedule([path for path, _ in batch]), rows))
        paths += [batch[row][0] for row in rows]
    merged = merge(parts)
    assert merged.schedule.calls == schedule(paths).calls
    continued = {}
    for call, pieces in zip(merged.schedule.calls, merged.pieces, strict=True):
        for piece in pieces:
            before = parts[piece.part][0].calls[piece.call]
            assert before.layer == call.layer
            for node, place in zip(piece.nodes, piece.places, strict=True):
                continued[call.start + place] = piece.part, before.start + node
    rows = [(part, row) for part, (_, some) in enumerate(parts) for row in some]
    for new, (part, row) in enumerate(rows):
        chain = [(part, node) for node in parts[part][0].chain(row)]
        assert [continued[node] for node in merged.schedule.chain(new)] == chain


@given(programs, st.integers(1, 5))
def test_equal_programs_take_one_call_a_slot(program, n_rows):
    calls = schedule([program.path] * n_rows).calls
    starts = range(n_rows, n_rows * (1 + program.n_slots), n_rows)
    expected = zip(program.path, starts, strict=True)
    assert list(calls) == [Call(layer, start, start + n_rows) for layer, start in expected]


def test_a_looping_row_catches_up_with_the_others():
    paths = [Program.parse(text, 4).path for text in ("identity", "1:3x2", "0:2x0")]
    layers = [(call.layer, call.stop - call.start) for call in schedule(paths).calls]
    assert layers == [(0, 2), (1, 2), (2, 3), (1, 1), (2, 1), (3, 3)]


def test_many_rows_that_loop_wait_for_a_second_sweep():
    identity = Program.identity(30)
    edits = ProgramSpace(30).edits(identity)
    ordered = schedule([identity.with_edit(edit).path for edit in edits])
    assert [call.layer for call in ordered.calls] == [*range(30), *range(30)]


def test_empty_paths_take_no_call():
    ordered = schedule([(), ()])
    assert (ordered.calls, ordered.leaves.tolist()) == ((), [0, 1])
