import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import all_programs

from skiploop import Program, ProgramSpace, Segment
from skiploop.errors import ProgramError
from skiploop.programs.program import shortest_first
from skiploop.programs.space import NO_LABEL

RUNS = {"skip": 0, "keep": 1, "repeat": 2}
spaces = st.builds(ProgramSpace, st.integers(1, 36), max_block=st.integers(1, 5))


@pytest.mark.parametrize("n_layers", range(1, 7))
@pytest.mark.parametrize("max_runs", [1, 2, 3])
def test_edits_reach_exactly_the_counted_programs(n_layers, max_runs):
    space = ProgramSpace(n_layers, max_block=2, max_runs=max_runs)
    programs = all_programs(space)
    assert all(program in space for program in programs)
    assert len(programs) == space.count()
    by_edits = Counter(space.n_edits(program) for program in programs)
    assert all(space.count(k) == by_edits[k] for k in range(n_layers + 2))


def test_the_number_of_single_edits_is_the_published_one(conformance):
    for case in conformance["action_universe_counts"]:
        space = ProgramSpace(case["depth"], max_runs=case["max_total_executions"])
        assert len(space.edits(Program.identity(case["depth"]))) == case["count"]


def test_the_number_of_programs_follows_the_published_recurrence():
    f = [1]
    for n in range(1, 65):
        f.append(sum(w * f[n - k] for k, w in ((1, 3), (2, 1), (3, 1), (4, 1)) if n >= k))
        assert ProgramSpace(n).count() == f[n] - 1  # the recurrence counts the empty path too


def test_paths_parse_to_the_published_segments_or_are_outside_the_space(conformance):
    for case in conformance["parse_cases"]:
        space = ProgramSpace(case["depth"], max_block=case["max_pack"], max_runs=2)
        try:
            program = Program.from_path(case["path"], case["depth"])
        except ProgramError:
            program = None
        if case["expect"] == "unparseable":
            assert program not in space, case["id"]
            continue
        cover = program.segments(case["max_pack"])
        assert program in space, case["id"]
        assert [s.start for s in cover] == case["expect"]["starts"], case["id"]
        assert [s.runs for s in cover] == [RUNS[op] for op in case["expect"]["ops"]], case["id"]


def test_labels_are_the_published_ones(conformance):
    for case in conformance["label_cases"]:
        space = ProgramSpace(case["depth"])
        labels = space.labels(Program.from_path(case["path"], case["depth"]))
        assert case["op_index"] == RUNS  # our label is the number of runs, the same number
        assert list(labels.boundaries) == case["seg_flip"]
        assert list(labels.runs) == case["op_labels"]
    assert NO_LABEL == -100


def test_edits_over_the_identity_give_the_published_programs(conformance):
    for case in conformance["edits_over_identity"]:
        program = Program.identity(case["depth"])
        for start, length, op, runs in case["edits"]:
            edit = Segment(start, start + length, 0 if op == "skip" else runs)
            assert edit in ProgramSpace(case["depth"]).edits(program)
            program = program.with_edit(edit)
        assert list(program.path) == case["path"]
        assert program.n_slots == case["executed_len"]
        if "segments" in case:
            expected = [(start, stop, RUNS[op]) for start, stop, op in case["segments"]]
            assert [(s.start, s.stop, s.runs) for s in program.segments(4)] == expected


def test_published_invalid_programs_are_refused(conformance):
    for case in conformance["invalid_programs"]:
        with pytest.raises(ProgramError):
            if any("times" in op for _, _, op in case["segments"]):  # a parameter on a kept block
                edit = {"start": 0, "stop": 4, "runs": 1, "times": 2}
                Program.from_json({"n_layers": case["depth"], "edits": [edit]})
            else:
                segments = [Segment(a, b, RUNS[op]) for a, b, op in case["segments"]]
                Program.from_segments(segments, case["depth"])


@given(spaces, st.integers(0, 2**32))
def test_labels_survive_the_round_trip(space, seed):
    program = space.sample(seed)
    assert program in space
    assert space.from_labels(*space.labels(program)) == program


@given(spaces, st.integers(0, 2**32), st.integers(0, 6))
def test_samples_have_the_number_of_edits_asked_for(space, seed, n_edits):
    if space.count(n_edits):
        assert space.n_edits(space.sample(seed, n_edits=n_edits)) == n_edits
    else:
        with pytest.raises(ProgramError, match=f"exactly {n_edits} edits"):
            space.sample(seed, n_edits=n_edits)


@pytest.mark.parametrize("n_edits", [None, 2])
def test_samples_are_uniform(n_edits):
    space = ProgramSpace(4)
    n_programs, n_draws = space.count(n_edits), 20_000
    counts = Counter(space.sample(seed, n_edits=n_edits) for seed in range(n_draws))
    expected = n_draws / n_programs
    assert len(counts) == n_programs
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    # Five standard deviations of the chi-square distribution above its mean.
    assert chi_square < n_programs - 1 + 5 * math.sqrt(2 * (n_programs - 1))


def test_membership_asks_for_depth_block_length_and_runs():
    space = ProgramSpace(12, max_block=4, max_runs=2)
    assert Program.parse("0:11x0", 12) in space  # many skips side by side
    assert Program.parse("2:6x2", 12) in space
    assert Program.parse("2:7x2", 12) not in space
    assert Program.parse("2:3x3", 12) not in space
    assert Program.identity(11) not in space


def test_labels_outside_the_space_are_refused():
    space = ProgramSpace(8)
    with pytest.raises(ProgramError, match="is not in"):
        space.labels(Program.parse("0:5x2", 8))
    with pytest.raises(ProgramError, match="segment 0:8x1 of the labels is not in"):
        space.from_labels([0] * 8, [1] * 8)
    with pytest.raises(ProgramError, match="do not fit"):
        space.from_labels([0] * 7, [1] * 8)
    with pytest.raises(ProgramError, match="skips all"):
        space.from_labels([0, 0, 0, 0, 1, 0, 0, 0], [0] * 8)


def test_a_space_of_nothing_is_refused():
    with pytest.raises(ProgramError, match="at least 1"):
        ProgramSpace(0)


def test_shortest_is_the_first_by_the_published_order():
    programs = [Program.parse(text, 8) for text in ("2:3x2", "0:1x0", "1:2x0")]
    assert min(programs, key=shortest_first) == programs[2]
