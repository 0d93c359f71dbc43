import itertools
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_trips import check_forms
from spaces import all_programs

from skiploop import Program, ProgramSpace, Segment
from skiploop.errors import ProgramError
from skiploop.programs.layer_pass import scale_of
from skiploop.programs.program import shortest_first


@st.composite
def programs(draw):
    """Any program: blocks of any length, up to 4 passes, up to 40 layers."""
    n_layers = draw(st.integers(1, 40))
    segments, layer = [], 0
    while layer < n_layers:
        stop = draw(st.integers(layer + 1, n_layers))
        segments.append(Segment(layer, stop, draw(st.integers(0, 4))))
        layer = stop
    if all(segment.runs == 0 for segment in segments):
        segments[0] = Segment(segments[0].start, segments[0].stop, 1)
    return Program.from_segments(segments, n_layers)


@given(programs())
def test_every_program_survives_text_path_json_and_segments(program):
    n = program.n_layers
    assert Program.parse(str(program), n) == program
    assert Program.from_path(program.path, n) == program
    assert Program.from_json(program.to_json()) == program
    assert Program.from_segments(program.segments(4), n) == program
    assert pickle.loads(pickle.dumps(program)) == program


@st.composite
def scaled_programs(draw):
    """Programs whose blocks may be scaled, too."""
    segments = draw(programs()).segments(3)
    scales = st.sampled_from([0.0, 0.25, 0.875, 1.0, 1.5, 10.0])
    scaled = [s if s.runs == 0 else replace(s, scale=draw(scales)) for s in segments]
    return Program.from_segments(scaled, scaled[-1].stop)


@given(scaled_programs())
def test_every_scaled_program_survives_text_json_segments_and_pickle(program):
    check_forms(program)


@given(scaled_programs())
def test_the_scales_of_a_path_are_those_of_its_blocks(program):
    scales = {layer: edit.scale for edit in program.edits for layer in range(edit.start, edit.stop)}
    assert tuple(map(int, program.layer_inputs)) == program.path
    for entry in program.layer_inputs:
        assert scale_of(entry) == scales.get(int(entry), 1)


def test_blocks_of_one_scale_side_by_side_are_one_block():
    identity = Program.identity(9)
    one = identity.with_edit(Segment(2, 3, 1, scale=1.5)).with_edit(Segment(3, 5, 1, scale=1.5))
    assert one == Program.parse("2:5x1*1.5", 9)
    assert one.kind == "scale" and one.n_slots == 9 and one.n_changes == 3
    assert Program.parse("2:4x1*0.5 4:5x0 6:8x2*2", 9).kind == "skip+loop+scale"
    assert Program.parse("2:4x2*1", 9) == Program.parse("2:4x2", 9)
    assert one not in ProgramSpace(9) and ProgramSpace(9).n_edits(one) == 1
    assert str(Segment(2, 3, 1, scale=np.float64(-0.0))) == "2:3x1*0"
    with pytest.raises(ProgramError, match="scale of a segment is 'x': give a finite number"):
        Segment(5, 3, 1, scale="x")


@given(programs())
def test_slots_are_the_executed_positions(program):
    assert program.n_slots == len(program.path)
    counts = [program.path.count(layer) for layer in range(program.n_layers)]
    assert program.n_changes == sum(abs(count - 1) for count in counts)


@given(programs(), st.integers(1, 6))
def test_segments_cover_every_layer_once_in_order(program, max_block):
    cover = program.segments(max_block)
    assert [i for s in cover for i in range(s.start, s.stop)] == list(range(program.n_layers))
    assert all(len(s) <= max_block for s in cover if s.runs < 2)


def test_programs_are_equal_exactly_if_their_paths_are():
    for n_layers in range(1, 6):
        space = ProgramSpace(n_layers, max_block=n_layers, max_runs=3)
        found = all_programs(space)
        assert len({program.path for program in found}) == len(found) == space.count()


def test_from_path_accepts_exactly_the_paths_of_programs():
    n_layers, longest = 3, 5
    space = ProgramSpace(n_layers, max_block=3, max_runs=longest)
    wanted, todo = set(), [Program.identity(n_layers)]
    while todo:
        program = todo.pop()
        if program.path not in wanted:
            wanted.add(program.path)
            todo += [program.with_edit(edit) for edit in space.edits(program)]
    for length in range(longest + 1):
        for path in itertools.product(range(-1, n_layers + 1), repeat=length):
            try:
                assert Program.from_path(path, n_layers).path == path
                assert path in wanted
            except ProgramError:
                assert path not in wanted


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
def test_a_path_may_be_an_array_or_hold_integers_of_other_types(kind):
    program = Program.parse("1:3x0 4:5x2", n_layers=6)
    for path in (np.array(program.path, kind), [kind(layer) for layer in program.path]):
        found = Program.from_path(path, n_layers=6)
        assert found == program and hash(found) == hash(program)
        assert all(type(layer) is int for layer in found.path)
    with pytest.raises(ProgramError, match="the path is empty"):
        Program.from_path(np.array([], kind), n_layers=6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Segment(0, 1, 1.5),
        lambda: Segment(0, 2.0, 0),
        lambda: Segment("0", 1, 0),
        lambda: Segment(False, 1, 0),
        lambda: ProgramSpace(3.5),
        lambda: ProgramSpace("3"),
        lambda: ProgramSpace(3, max_runs=True),
        lambda: Program(3, [(0, 1, 0)]),
        lambda: Program(3, "0:1x0"),
        lambda: Program(3, None),
        lambda: Program(3, 5),
    ],
)
def test_what_is_not_made_of_the_right_types_is_refused(make):
    with pytest.raises(ProgramError, match=r"give |must be a list"):
        make()


def test_a_program_made_of_a_list_is_the_same_value_as_one_made_of_a_tuple():
    edit = Segment(0, 1, 0)
    assert Program(3, [edit]) == Program(3, (edit,))
    assert hash(Program(3, [edit])) == hash(Program(3, (edit,)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-5x0", "in program '3-5x0': '3-5x0' is not START:STOPxRUNS"),
        ("", "the program text is empty"),
        ("5:3x0", "5:3x0 is empty or negative"),
        ("3:5x1", "3:5x1 changes nothing"),
        ("8:12x2", "8:12x2 ends after layer 9, the last of 10"),
        ("3:5x2 4:6x0", "4:6x0 starts before 3:5x2 ends"),
        ("6:8x2 3:5x0", "3:5x0 starts before 6:8x2 ends"),
        ("3:5x0 5:6x0", "are one: write 3:6x0"),
        ("3:5x1*2 5:6x1*2", r"are one: write 3:6x1\*2"),
        ("3:5x1*1", "edit 3:5x1 changes nothing"),
        ("3:5x0*2", "scale 2: a scale is a number from 0 to 10, of a block that runs"),
        ("3:5x1*11", "scale 11: a scale is a number from 0 to 10"),
        ("3:5x1*-1", "is not START:STOPxRUNS"),
        ("0:10x0", "skips all 10 layers: keep at least one"),
        ("0:1x99999999", "100000008 layer passes: give fewer than 10000"),
        ("\u0663:5x0", "is not START:STOPxRUNS"),  # a digit, but not one of ours
        (None, "None is no program text"),
    ],
)
def test_a_wrong_program_text_is_refused_with_what_to_do(text, message):
    with pytest.raises(ProgramError, match=message):
        Program.parse(text, n_layers=10)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([], "the path is empty"),
        ([0, 1, 9], "position 2 holds layer 9, outside 0..3"),
        ([0, 1, None], "path position 2 is None: give a whole number"),
        ([-1, 0], "position 0 holds layer -1"),
        ([0, 2, 1, 3], "position 2 goes back to layer 1 after layer 2"),
        ([0, 1, 2, 3, 0], "position 4 goes back to layer 0 after layer 3"),
        ([0, True, 2], "path position 1 is True: give a whole number"),
        ([0, 1.5], "path position 1 is 1.5: give a whole number"),
        ("012", "path must be a list of layers, not '012'"),
    ],
)
def test_a_path_that_is_no_program_is_refused_at_its_position(path, message):
    with pytest.raises(ProgramError, match=message):
        Program.from_path(path, n_layers=4)


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"n_layers": 8},
        {"n_layers": 8, "edits": [{"start": 1, "stop": 2}]},
        {"n_layers": 8, "edits": [{"start": 1, "stop": 2, "runs": 2.0}]},
        {"n_layers": 8, "edits": [{"start": 1, "stop": 2, "runs": True}]},
        {"n_layers": "8", "edits": []},
        {"n_layers": 8, "edits": [], "name": "x"},
    ],
)
def test_json_that_is_no_program_is_refused(data):
    with pytest.raises(ProgramError):
        Program.from_json(data)


def test_sizes_that_are_no_sizes_are_refused():
    with pytest.raises(ProgramError, match="n_layers is '3'"):
        Program.identity("3")
    with pytest.raises(ProgramError, match="max_block is 0"):
        Program.identity(3).segments(max_block=0)


def test_kinds_tell_skips_from_loops(conformance):
    kinds = {"identity": "identity", "skip": "2:3x0", "loop": "2:3x2", "skip+loop": "2:3x0 4:5x3"}
    for kind, text in kinds.items():
        assert Program.parse(text, n_layers=8).kind == kind
    (case,) = (c for c in conformance["metrics"] if c["id"] == "op_class")
    assert len(case["examples"]) == len(kinds)


def test_the_shortest_program_has_fewest_slots_then_fewest_changes_then_smaller_path(conformance):
    assert any(case["id"] == "shortest_valid_tiebreak" for case in conformance["metrics"])
    texts = ["0:1x0", "1:2x0", "0:2x0 4:5x2", "2:3x2"]
    ranked = sorted((Program.parse(text, 8) for text in reversed(texts)), key=shortest_first)
    # Layer 1 first is the smaller path: (0, 2, ...) comes before (1, 2, ...).
    assert [str(p) for p in ranked] == ["1:2x0", "0:1x0", "0:2x0 4:5x2", "2:3x2"]


def test_importing_programs_and_trees_imports_no_torch():
    code = (
        "import sys, skiploop, skiploop.search.tree, skiploop.tasks.base, skiploop.policies.base;"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
