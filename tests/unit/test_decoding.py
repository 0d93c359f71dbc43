"""The published decode and its conformance cases, without torch."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.errors import ConfigError
from skiploop.policies.polar.decoding import beam, likeliest_programs, spans
from skiploop.programs.space import ProgramSpace

RUNS = {"skip": 0, "keep": 1, "repeat": 2}


def rank_programs(*scores, space, k):
    return [program for program, _ in likeliest_programs(*scores, space=space, k=k)]


def executed(candidate):
    return [
        layer for s in candidate.segments for _ in range(s.runs) for layer in range(s.start, s.stop)
    ]


def test_beam_gives_the_published_order_with_the_empty_candidate(conformance):
    for case in conformance["beam_decode"]:
        blocks = spans(case["seg_logits"], max_block=case["max_pack"])
        assert [[b.start, b.stop] for b in blocks] == case["segments"], case["id"]
        found = beam(
            blocks,
            case["op_logits_skip_keep_repeat"],
            beam_size=case["beam_size"],
            n_choices=case["top_k_ops"],
        )
        expected = case["polar_ranked"]
        assert [executed(c) for c in found] == [e["path"] for e in expected], case["id"]
        runs = [[RUNS[op] for op in e["ops"]] for e in expected]
        assert [[s.runs for s in c.segments] for c in found] == runs, case["id"]
        logprobs = [e["logprob"] for e in expected]
        assert [c.logprob for c in found] == pytest.approx(logprobs, abs=1e-5), case["id"]


def test_ranked_programs_are_the_published_ones_without_the_empty_candidate(conformance):
    for case in conformance["beam_decode"]:
        space = ProgramSpace(case["depth"], max_block=case["max_pack"])
        found = rank_programs(
            case["seg_logits"], case["op_logits_skip_keep_repeat"], space=space, k=5
        )
        expected = [tuple(e["path"]) for e in case["repolar_topk5_ranked"]]
        assert [program.path for program in found] == expected, case["id"]


def test_spans_have_the_published_lengths():
    assert [len(span) for span in spans([-10.0] * 12, max_block=4)] == [4, 4, 4]
    assert [len(span) for span in spans([10.0] * 12, max_block=4)] == [1] * 12


programs = st.builds(
    lambda n_layers, max_block, max_runs, seed: (
        space := ProgramSpace(n_layers, max_block=max_block, max_runs=max_runs),
        space.sample(seed),
    ),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 2**40),
)


@given(programs, st.floats(0.5, 50))
def test_confident_labels_decode_to_the_labelled_program(drawn, confidence):
    space, program = drawn
    labels = space.labels(program)
    boundary = [confidence if b else -confidence for b in labels.boundaries]
    runs = [
        [confidence if runs == label else 0.0 for runs in range(space.max_runs + 1)]
        for label in labels.runs
    ]
    assert rank_programs(boundary, runs, space=space, k=1) == [program]


@st.composite
def scores(draw):
    n_layers = draw(st.integers(1, 14))
    logit = st.integers(-3, 3).map(float)
    boundary = draw(st.lists(logit, min_size=n_layers, max_size=n_layers))
    row = st.lists(logit, min_size=3, max_size=3)
    return (
        ProgramSpace(n_layers),
        boundary,
        draw(st.lists(row, min_size=n_layers, max_size=n_layers)),
    )


@given(scores(), st.integers(1, 40))
def test_ranked_programs_are_different_in_the_space_and_best_first(drawn, k):
    space, boundary, runs = drawn
    found = rank_programs(boundary, runs, space=space, k=k)
    assert 1 <= len(found) <= k
    assert len({program.path for program in found}) == len(found)
    assert all(program in space for program in found)
    candidates = beam(spans(boundary, max_block=space.max_block), runs, beam_size=max(4 * k, 16))
    paths = [tuple(executed(candidate)) for candidate in candidates]
    assert [program.path for program in found] == [path for path in paths if path][:k]
    logprobs = [candidate.logprob for candidate in candidates]
    assert logprobs == sorted(logprobs, reverse=True)


@given(scores())
def test_beam_finds_the_best_products(drawn):
    space, boundary, runs = drawn
    blocks = spans(boundary, max_block=space.max_block)[:5]

    def logprob(choice):
        rows = [runs[block.start] for block in blocks]
        return sum(
            r[c] - math.log(sum(map(math.exp, r))) for r, c in zip(rows, choice, strict=True)
        )

    every_choice = itertools.product(range(3), repeat=len(blocks))
    best = sorted(map(logprob, every_choice), reverse=True)[:5]
    found = beam(blocks, runs, beam_size=5, n_choices=3)
    assert [candidate.logprob for candidate in found] == pytest.approx(best)


def test_scores_of_another_depth_are_refused():
    with pytest.raises(ConfigError, match="do not fit"):
        rank_programs([0.0] * 3, [[0.0] * 3] * 3, space=ProgramSpace(4), k=1)
    with pytest.raises(ConfigError, match="do not fit"):
        rank_programs([0.0] * 4, [[0.0] * 4] * 4, space=ProgramSpace(4), k=1)


def test_asking_for_no_program_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        rank_programs([0.0] * 4, [[0.0] * 3] * 4, space=ProgramSpace(4), k=0)
