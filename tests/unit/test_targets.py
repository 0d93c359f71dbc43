"""Weights and sampling of training targets, without torch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.errors import ConfigError
from skiploop.policies.polar.targets import QuestionPrograms, TargetRules, build_targets
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace

SPACE = ProgramSpace(8)
IDENTITY = Program.identity(8)
SHORTER = Program.parse("2:4x0", n_layers=8)
LONGER = Program.parse("2:4x2", n_layers=8)


def question(*valid, example_id="q"):
    return QuestionPrograms(example_id, f"prompt {example_id}", valid)


def weights(*valid, **rules):
    targets, _ = build_targets([question(*valid)], SPACE, rules=TargetRules(**rules), seed=0)
    return {target.program: target.weight for target in targets}


def rules_of(case):
    if case.get("drop_original") and not case.get("reweight"):
        factor = 0.0
    else:
        factor = case.get("original_path_weight", 0.3)
    return {"normalize": case.get("per_sample_normalize", False), "identity_weight": factor}


def test_weights_are_the_published_ones(conformance):
    for case in conformance["example_weights"]:
        found = weights(IDENTITY, SHORTER, LONGER, **rules_of(case))
        by_length = {program.n_slots: weight for program, weight in found.items()}
        if "weights_by_path_len" in case:
            expected = {int(k): w for k, w in case["weights_by_path_len"].items()}
            assert by_length == pytest.approx(expected), case["id"]
        else:
            assert sorted(by_length) == sorted(case["kept_path_lens"]), case["id"]


def test_identity_keeps_its_weight_when_nothing_shorter_is_valid():
    assert weights(IDENTITY, LONGER) == {IDENTITY: 0.5, LONGER: 0.5}


def test_program_as_long_as_the_model_is_not_taken_for_the_identity():
    swap = Program.parse("0:1x0 4:5x2", n_layers=8)
    assert weights(swap, SHORTER) == {swap: 0.5, SHORTER: 0.5}


def test_dropping_the_identity_leaves_the_others_a_total_of_one():
    found = weights(IDENTITY, SHORTER, LONGER, identity_weight=0.0)
    assert found == {SHORTER: 0.5, LONGER: 0.5}


def test_programs_outside_the_space_are_left_out_and_counted():
    three_times = Program.parse("2:4x3", n_layers=8)
    long_block = Program.parse("0:5x2", n_layers=8)
    other_depth = Program.identity(9)
    questions = [
        question(SHORTER, three_times, long_block, example_id="some"),
        question(other_depth, example_id="outside"),
        question(example_id="none"),
    ]
    targets, counts = build_targets(questions, SPACE, rules=TargetRules(), seed=0)
    assert [(t.prompt, t.program, t.weight) for t in targets] == [("prompt some", SHORTER, 1.0)]
    assert (counts.n_targets, counts.n_questions) == (1, 1)
    assert (counts.n_questions_without, counts.n_outside_space) == (2, 3)


def test_same_program_found_twice_is_one_target():
    assert weights(LONGER, LONGER) == {LONGER: 1.0}


def test_sample_depends_on_the_seed_and_the_question_only():
    many = [ProgramSpace(8).sample(seed) for seed in range(200)]
    first, second = question(*many, example_id="a"), question(*many, example_id="b")

    def sampled(questions, seed):
        targets, _ = build_targets(questions, SPACE, rules=TargetRules(), seed=seed)
        return {q.prompt: {t.program for t in targets if t.prompt == q.prompt} for q in questions}

    both = sampled([first, second], seed=1)
    assert sampled([second, first], seed=1) == both
    assert sampled([first], seed=2)[first.prompt] != both[first.prompt]
    assert both[first.prompt] != both[second.prompt]


@given(seeds=st.sets(st.integers(0, 10**6), max_size=120), limit=st.integers(1, 50))
def test_a_question_never_weighs_more_than_one(seeds, limit):
    found = weights(*(SPACE.sample(seed) for seed in seeds), max_programs=limit)
    assert len(found) <= limit
    assert sum(found.values()) <= 1 + 1e-9


@pytest.mark.parametrize("wrong", [{"max_programs": 0}, {"identity_weight": 1.5}])
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TargetRules(**wrong)
