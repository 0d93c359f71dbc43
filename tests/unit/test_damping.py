import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_trips import check_forms

from skiploop import Program, ProgramSpace, Segment
from skiploop.errors import ProgramError
from skiploop.programs.damping import inside_loops
from skiploop.programs.layer_pass import LayerPass, mix_of
from skiploop.programs.segment import MEAN


@st.composite
def damped_programs(draw):
    """Programs with damped loops, plain ones and skips, the last layer kept."""
    n_layers = draw(st.integers(2, 20))
    segments, layer = [], 0
    while layer < n_layers - 1:
        stop = draw(st.integers(layer + 1, n_layers - 1))
        runs = draw(st.integers(0, 4))
        anchor = draw(st.none() | st.floats(0, 1) | st.just(MEAN)) if runs > 1 else None
        segments.append(Segment(layer, stop, runs, anchor))
        layer = stop
    return Program.from_segments([*segments, Segment(layer, n_layers, 1)], n_layers)


@given(damped_programs())
def test_every_damped_program_survives_text_json_segments_and_pickle(program):
    check_forms(program)


@given(damped_programs())
def test_steps_are_the_path_and_every_mix_is_an_average_of_earlier_states(program):
    assert tuple(map(int, program.layer_inputs)) == program.path
    for position, step in enumerate(program.layer_inputs):
        if mix_of(step):
            distances, weights = zip(*mix_of(step), strict=True)
            assert list(distances) == sorted(set(distances), reverse=True)
            assert distances[-1] >= 0 and distances[0] <= position  # the embedding at most
            assert min(weights) > 0 and math.isclose(sum(weights), 1)


def run(program, layers, state):
    """Run steps on numbers, every layer being a function."""
    states = [state]
    for position, step in enumerate(program.layer_inputs):
        given = sum(w * states[position - distance] for distance, w in mix_of(step) or [(0, 1)])
        states.append(layers[int(step)](given))
    return states[-1]


@given(st.integers(2, 5), st.floats(0, 1), st.floats(-1, 1))
def test_a_damped_loop_runs_its_formula(runs, anchor, state):
    layers = [math.sin, math.cos, math.atan, math.exp]
    program = Program(4, (Segment(1, 3, runs, anchor),))

    def g(x):
        return math.atan(math.cos(x))

    x_0 = x = math.sin(state)
    for _ in range(runs):
        x = (1 - 1 / runs) * x + g(x) / runs
    expected = math.exp(anchor * g(x_0) + (1 - anchor) * x)
    assert run(program, layers, state) == pytest.approx(expected)


@given(st.integers(2, 5), st.floats(-1, 1))
def test_a_loop_with_the_mean_of_its_passes_runs_its_formula(runs, state):
    layers = [math.sin, math.cos, math.atan, math.exp]
    x, iterates = math.sin(state), []
    for _ in range(runs):
        x = math.atan(math.cos(x))
        iterates.append(x)
    expected = math.exp(sum(iterates) / runs)
    program = Program.parse(f"1:3x{runs}~mean", 4)
    assert run(program, layers, state) == pytest.approx(expected)


@given(damped_programs())
def test_where_no_loop_is_inside_no_later_step_needs_older_states(program):
    steps = program.layer_inputs
    for n_passes in set(range(len(steps) + 1)) - inside_loops(steps):
        for position in range(n_passes, len(steps)):
            assert all(position - d >= n_passes for d, _ in mix_of(steps[position]))


def test_a_loop_of_another_anchor_or_a_plain_one_is_another_program():
    texts = ["4:6x2", "4:6x2~0.5", "4:6x2~0.25", "4:6x2~1", "4:6x3~0.5", "4:6x2~mean"]
    programs = [Program.parse(text, 10) for text in texts]
    assert len(set(programs)) == len({program.layer_inputs for program in programs}) == len(texts)
    assert [str(program) for program in programs] == texts
    assert {program.kind for program in programs} == {"loop"}


def test_a_damped_and_a_plain_loop_share_the_first_pass_only():
    damped, plain = (Program.parse(text, 10).layer_inputs for text in ("4:6x2~0.5", "4:6x2"))
    assert damped[:6] == plain[:6]
    assert damped[6] != plain[6]
    assert damped[6] == LayerPass.of(4, ((2, 0.5), (0, 0.5)))
    assert sorted([damped, plain, damped]) == [plain, damped, damped]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4:6x2~1.5", "anchor 1.5: an anchor is a number from 0 to 1"),
        ("4:6x0~0.5", "anchor 0.5: .*of a block that runs twice or more"),
        ("4:6x0~mean", "anchor mean: .*of a block that runs twice or more"),
        ("8:10x2~mean", "no layer runs after the damped loop 8:10x2~mean"),
        ("4:6x2~", "is not START:STOPxRUNS, which ~ANCHOR"),
        ("4:6x2~a", "is not START:STOPxRUNS, which ~ANCHOR"),
        ("8:10x2~0.5", "no layer runs after the damped loop 8:10x2~0.5"),
        ("6:8x2~0.5 8:10x0", "no layer runs after the damped loop 6:8x2~0.5"),
    ],
)
def test_a_wrong_damped_loop_is_refused_with_what_to_do(text, message):
    with pytest.raises(ProgramError, match=message):
        Program.parse(text, 10)


@pytest.mark.parametrize("anchor", ["0.5", True, None, "median"])
def test_json_with_an_anchor_that_is_no_number_is_refused(anchor):
    edit = {"start": 4, "stop": 6, "runs": 2, "anchor": anchor}
    with pytest.raises(ProgramError, match="the anchor must be a number"):
        Program.from_json({"n_layers": 10, "edits": [edit]})


def test_no_space_holds_damped_loops():
    assert Program.parse("4:6x2~0.5", 10) not in ProgramSpace(10)
