"""Whether a choice is shown to help: what may decide it, and how often chance does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_null import N_FEATURES, judged, judgement, shown, table
from scipy.stats import binom

import blind_answers
from skiploop.policies.selector.data import NOT_JUDGED, Answers
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.learning import SelectorConfig, choose, expect
from skiploop.policies.selector.policy import learn
from skiploop.policies.selector.validation import N_PARTS, choose_in_turn
from skiploop.seeds import derive_seed

CONFIG = SelectorConfig(ridges=(0.3, 1.0))
SLOTS = torch.tensor([30.0, 32.0, 28.0, 32.0])
NO_MORE = torch.empty(0, N_FEATURES)  # questions without answers


def answers(n_questions=100, seed=0, gain=0.3):
    features, evidence = table(n_questions, seed, gain, n_programs=4)
    numbers = (evidence.score_QP, evidence.right_QP, evidence.weight_Q)
    tensors = [torch.from_numpy(one).float() for one in numbers]
    groups = torch.arange(n_questions // 2).repeat(2)
    categories = torch.zeros(n_questions, dtype=torch.int64)
    return Answers(features, *tensors, groups, torch.zeros(n_questions), categories)


def parts(known):
    return deal(known.group_Q, N_PARTS, derive_seed(CONFIG.seed, "validation"))


def test_what_is_chosen_depends_on_earlier_parts_alone():
    known = answers()
    part_Q = parts(known)
    before = choose_in_turn(known, NO_MORE, SLOTS, CONFIG, 0)
    assert len(before.unique()) > 2  # identity and others
    n_changed = 0
    for part in range(N_PARTS):
        other = answers(seed=1)  # other verdicts in this part
        for tensor, new in ((known.score_QP, other.score_QP), (known.right_QP, other.right_QP)):
            tensor[part_Q == part] = new[part_Q == part]
        after = choose_in_turn(known, NO_MORE, SLOTS, CONFIG, 0)
        assert torch.equal(after[part_Q <= part], before[part_Q <= part])
        n_changed += int((after != before).sum())
        known = answers()
    assert n_changed > 0


def test_the_first_part_teaches_and_every_other_question_is_judged_once():
    known = answers()
    chosen = choose_in_turn(known, NO_MORE, SLOTS, CONFIG, 0)
    assert torch.equal(chosen == NOT_JUDGED, parts(known) == 0)
    assert set(chosen.tolist()) <= {NOT_JUDGED, 0, 1, 2, 3}


def test_questions_that_chose_the_menu_and_their_twins_judge_nothing():
    known = answers()
    chosen = choose_in_turn(known, NO_MORE, SLOTS, CONFIG, 20)
    assert (chosen[:20] == NOT_JUDGED).all() and (chosen[50:70] == NOT_JUDGED).all()
    assert torch.equal(chosen == NOT_JUDGED, (parts(known) == 0) | (known.group_Q < 20))


def test_where_all_questions_chose_the_menu_nothing_is_shown():
    features, evidence = table(60, 0, 0.5, n_programs=4)
    data = learn(features, evidence, CONFIG, n_raced=60)
    assert not judged(data).any()
    found = judgement(data)
    assert (found.paired.total, found.n_taught, found.gain) == (0, 60, 0.0)
    assert found.p == 1.0 and not found.is_shown_to_help


def test_a_choice_is_that_of_a_selector_that_learned_from_the_past_alone():
    known = answers()
    part_Q, chosen = parts(known), choose_in_turn(known, NO_MORE, SLOTS, CONFIG, 0)
    past, now = known.of(part_Q < 3), part_Q == 3
    assert torch.equal(chosen[now], choose(known.features_QF[now], past, NO_MORE, SLOTS, CONFIG))
    ridge = expect(past, CONFIG).ridge
    assert ridge in CONFIG.ridges


def test_chance_is_seldom_shown_to_help():
    n_tables = 50
    is_shown, gains = shown(60, n_tables)
    assert is_shown.sum() <= binom.ppf(0.999, n_tables, 0.025)
    assert abs(gains.mean()) < 4 * gains.std() / np.sqrt(n_tables)


def test_the_same_bound_finds_out_a_gate_that_judges_what_it_was_tuned_on():
    n_tables, n_shown = 40, 0
    for seed in range(n_tables):
        features, evidence = table(100, seed)
        data = learn(features, evidence, SelectorConfig(ridges=(1.0,)))
        slots_P = torch.tensor([float(program.n_slots) for program in evidence.programs])
        own = choose(features, data, NO_MORE, slots_P, CONFIG)
        found = judgement(replace(data, chosen_Q=own))
        n_shown += found.is_shown_to_help
    assert n_shown > binom.ppf(0.999, n_tables, 0.025)


@pytest.mark.parametrize("skill", [0.0, 0.15])
@pytest.mark.parametrize("n_golds", [2, 3, 30])
def test_other_words_help_no_plain_model_whose_word_is_never_right(n_golds, skill):
    found = judgement(learn(*blind_answers.table(300, 0, n_golds, skill), CONFIG))
    assert found.gain > 0
    assert not found.is_shown_to_help


@pytest.mark.parametrize("n_golds", [2, 30])
def test_programs_that_know_more_are_shown_to_help_such_a_model(n_golds):
    found = judgement(learn(*blind_answers.table(300, 0, n_golds, 0.15, gain=0.4), CONFIG))
    assert found.is_shown_to_help and found.beyond.value > 0.1


def test_a_plain_model_whose_words_are_answers_loses_nothing_by_this():
    features, evidence = blind_answers.table(300, 0, 2, 0.15, gain=0.4)
    known = replace(evidence, is_lost=(False,) * 300)
    data = learn(features, known, CONFIG)
    assert not data.blind_Q.any()
    found = judgement(data)
    assert found.gain > 0 and found.beyond.value >= found.gain - 1e-6


def test_a_large_gain_is_shown():
    is_shown, gains = shown(500, 4, gain=0.16)
    assert is_shown.all() and gains.min() > 0.05
