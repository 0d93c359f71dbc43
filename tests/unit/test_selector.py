"""What a selector learns from planted scores, and that nothing leaks into its judgement."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skiploop import Program
from skiploop.errors import ConfigError, DataError, RunError
from skiploop.menus.menu import Menu
from skiploop.policies.selector.calibration import calibration
from skiploop.policies.selector.choice import first_change
from skiploop.policies.selector.data import SelectorData
from skiploop.policies.selector.gate import Gate, tune
from skiploop.policies.selector.kernel import KernelRidge, out_of_fold
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import (
    PromptFeatures,
    SelectorPolicy,
    learn,
    load_selector,
    train_selector,
)
from skiploop.policies.selector.validation import validate
from skiploop.stats import Share
from skiploop.tasks.base import Example
from skiploop.trials.score_table import ScoreTable, balanced

TEXTS = ("identity", "2:3x2", "4:6x0")
MENU = Menu(tuple(Program.parse(text, 8) for text in TEXTS), "weights", (0.1, 0.2, 0.3))
N = 120


class TwoKinds:
    """An encoder for which prompts that start with the same letter look alike."""

    def __init__(self):
        self.spec = {"kind": "none"}
        self.width = 2

    def encode(self, prompts):
        return [torch.tensor([[float(p[0] == "a"), len(p) / 50]]) for p in prompts]


PROMPTS = [f"{'ab'[i % 2]}{'x' * (i % 7)}" for i in range(N)]


def evidence(score_QP, weight_Q=None):
    ids = tuple(map(str, range(len(score_QP))))
    weight_Q = np.ones(len(score_QP)) if weight_Q is None else weight_Q
    right_QP = np.array(score_QP > 0.5, float)
    return ScoreTable(ids, MENU.programs, right_QP, np.array(score_QP, float), weight_Q)


def planted():
    """For one category of question the second program is right, for the other one the identity."""
    is_a = np.array([prompt[0] == "a" for prompt in PROMPTS])
    score = np.zeros((N, 3))
    score[~is_a, 0], score[is_a, 1], score[:, 2] = 0.9, 0.8, 0.1
    return evidence(score)


def policy_of(table):
    features = PromptFeatures(TwoKinds())
    return SelectorPolicy(MENU, features, learn(features.of(PROMPTS), table, SelectorConfig()))


def test_kernel_ridge_gives_back_what_it_learned_and_the_mean_far_away():
    torch.manual_seed(0)
    features = torch.randn(30, 4, dtype=torch.float64)
    scores = torch.rand(30, 3, dtype=torch.float64)
    (model,) = KernelRidge.fit(features, scores, torch.ones(30, dtype=torch.float64), [1e-8])
    assert torch.allclose(model.predict(features), scores, atol=1e-3)
    far = model.predict(torch.full((1, 4), 1e3, dtype=torch.float64))
    assert torch.allclose(far, scores.mean(0)[None], atol=1e-6)


def test_a_question_much_farther_than_known_ones_are_from_each_other_is_far():
    torch.manual_seed(0)
    features = torch.randn(60, 4)
    (model,) = KernelRidge.fit(features, torch.rand(60, 3), torch.ones(60), [1.0])
    assert not model.look(features)[1].any()
    assert model.look(torch.randn(100, 4))[1].float().mean() < 0.02
    assert model.look(torch.randn(100, 4) + 6)[1].all()


def test_a_question_of_another_sort_keeps_the_plain_model_first():
    policy = policy_of(planted())
    far = torch.full((1, policy.model.features_QF.shape[1]), 1e3)
    assert policy.ungated("open")._rank(far, 3)[0][0] == MENU.programs[0]


def one_of_six_left_out():
    """Features and categories, what was learned from five of them, and whether it is of these."""
    category = torch.arange(240) % 6
    noise = torch.randn(240, 6, generator=torch.Generator().manual_seed(0))
    features, known = torch.eye(6)[category] + 0.05 * noise, category < 5
    score = np.full((240, 3), 0.1)
    score[:, 1] = 0.9
    table = evidence(score)
    some = known.numpy()
    table = replace(
        table,
        example_ids=tuple(np.array(table.example_ids)[some]),
        right_QP=table.right_QP[some],
        score_QP=score[some],
        weight_Q=np.ones(some.sum()),
        answers=tuple((f"category {number}", "x") for number in category[known].tolist()),
    )
    return features, known, table


def chosen_columns(policy, features):
    return torch.tensor([MENU.programs.index(best) for (best, *_) in policy._rank(features, 1)])


def test_a_question_of_a_category_that_was_not_learned_from_keeps_the_plain_model_first():
    features, known, table = one_of_six_left_out()
    data = learn(features[known], table, SelectorConfig())
    policy = SelectorPolicy(MENU, PromptFeatures(TwoKinds()), data)
    chosen = chosen_columns(policy, features)
    assert (chosen[~known] == 0).all()
    assert 0.85 < (chosen[known] == 1).float().mean() < 1  # some known ones are taken for others


def test_questions_whose_words_are_new_say_how_far_from_its_category_a_known_one_may_be():
    features, known, table = one_of_six_left_out()
    drift = 0.1 * torch.randn(240, 6, generator=torch.Generator().manual_seed(1))
    new = features[known] + drift[known]
    seen, unseen = new[::2], new[1::2]

    def share_chosen(*unseen_UF):
        data = learn(features[known], table, SelectorConfig(), None, 0, *unseen_UF)
        policy = SelectorPolicy(MENU, PromptFeatures(TwoKinds()), data)
        assert (chosen_columns(policy, features[~known]) == 0).all()
        return (chosen_columns(policy, seen) == 1).float().mean()

    assert share_chosen() < 0.6
    assert share_chosen(unseen) > 0.8


def test_what_is_said_of_a_fold_does_not_depend_on_its_own_scores():
    torch.manual_seed(0)
    features, scores, fold = torch.randn(40, 3), torch.rand(40, 2), torch.arange(40) % 4
    weights = torch.rand(40) + 0.5
    (before,) = out_of_fold(features, scores, weights, [1.0], fold)
    leaked = scores.clone()
    leaked[fold == 2] = 7.0
    (after,) = out_of_fold(features, leaked, weights, [1.0], fold)
    assert torch.equal(before[fold == 2], after[fold == 2])
    assert not torch.equal(before[fold == 1], after[fold == 1])
    # The same comparison catches a model that has seen the fold.
    seen = [
        KernelRidge.fit(features, s, weights, [1.0])[0].predict(features)[fold == 2]
        for s in (scores, leaked)
    ]
    assert not torch.equal(*seen)


def test_the_selector_learns_which_program_suits_which_category():
    policy = policy_of(planted())
    assert [ranked[0] for ranked in policy.rank(["axx", "bxx"], 2)] == [
        MENU.programs[1],
        MENU.programs[0],
    ]
    assert [len(set(ranked)) for ranked in policy.rank(["axx", "bxx"], 3)] == [3, 3]
    assert policy.rank([], 3) == []


def test_answers_of_other_questions_teach_nothing():
    table = planted()
    rng = np.random.default_rng(0)
    order = rng.permutation(N)
    policy = policy_of(evidence(table.score_QP[order]))
    chosen = [ranked[0] for ranked in policy.rank(PROMPTS, 1)]
    right = np.mean([table.right_QP[i, MENU.programs.index(p)] for i, p in enumerate(chosen)])
    assert right < 0.7  # 1.0 with their own answers


def favourites():
    """Questions of one category, most answered by Yes; the identity likes No, a program Yes."""
    examples = [
        Example(str(i), PROMPTS[i], "Yes" if i % 3 else "No", category="k") for i in range(N)
    ]
    is_yes = np.array([example.gold == "Yes" for example in examples])
    score = np.zeros((N, 3))
    score[:, 0], score[:, 1], score[:, 2] = 0.7 - 0.4 * is_yes, 0.3 + 0.4 * is_yes, 0.1
    return examples, score


def test_what_is_learned_from_is_half_the_verdict_and_half_the_score_or_this_alone_if_ungraded():
    right_QP, score_QP = np.array([[1.0, 0.0, np.nan]]), np.array([[0.5, 0.3, 0.2]])
    table = ScoreTable(("a",), MENU.programs, right_QP, score_QP, np.ones(1))
    np.testing.assert_allclose(table.worth_QP, [[0.75, 0.15, 0.2]])


def test_another_favourite_answer_is_no_reason_to_leave_the_identity():
    examples, score = favourites()
    policy = policy_of(evidence(score, balanced(examples)))
    assert all(program.is_identity for (program,) in policy.rank(PROMPTS, 1))
    # Without the weights it would be one.
    policy = policy_of(evidence(score))
    assert all(program == MENU.programs[1] for (program,) in policy.rank(PROMPTS, 1))


@pytest.mark.parametrize("shows_in", ["text", "features"])
def test_favourite_answers_of_categories_that_nobody_named_are_no_reason_either(shows_in):
    rng = np.random.default_rng(0)
    categories = np.arange(600) % 2
    templates = ("Is {} odd?", "Name {}.") if shows_in == "text" else ("Is {} odd?",) * 2
    examples = [
        Example(str(i), templates[category].format(i), str(rng.choice(["Yes", "No"], p=shares)))
        for i, category in enumerate(categories)
        for shares in [(0.8, 0.2) if category else (0.2, 0.8)]
    ]
    is_yes = np.array([example.gold == "Yes" for example in examples])
    right = np.stack([~is_yes, is_yes, np.zeros(600)], 1).astype(float)
    features = torch.from_numpy(rng.normal(size=(600, 8)) * 0.3).float()
    features[:, 0] += 4 * torch.from_numpy(categories)
    table = ScoreTable(
        tuple(map(str, range(600))),
        MENU.programs,
        right,
        right,
        balanced(examples),
        tuple((example.category, example.answer_key) for example in examples),
    )
    fair = SelectorPolicy(
        MENU, PromptFeatures(TwoKinds()), learn(features, table, SelectorConfig())
    )
    assert not fair.validation.is_shown_to_help
    by_name = replace(table, weight_Q=np.ones(600), answers=())
    named = learn(features, by_name, SelectorConfig())
    assert SelectorPolicy(MENU, PromptFeatures(TwoKinds()), named).validation.is_shown_to_help
    if shows_in == "text":  # the weights of the table know it without features
        weights = table.weight_Q
        assert weights[(categories == 1) & is_yes].sum() == pytest.approx(
            weights[(categories == 1) & ~is_yes].sum()
        )


@pytest.mark.parametrize(
    "golds",
    [
        ["2", "2.0", "2.", "$2", "3"],
        ["Yes", "yes", "YES.", " yes", "No"],
        ["1/2", "0.5", "50/100", ".5", "1"],
    ],
)
def test_weights_count_what_verdicts_take_for_equal_as_one_answer(golds):
    examples = [Example(str(i), "?", gold) for i, gold in enumerate(golds)]
    assert balanced(examples).tolist() == pytest.approx([0.625] * 4 + [2.5])


def test_weights_of_many_different_answers_are_balanced_over_their_whole_category():
    rng = np.random.default_rng(0)
    golds = ["2" if rng.random() < 0.2 else str(rng.integers(3, 400)) for _ in range(600)]
    texts = ["How many {}?", "Is {} odd?"]
    examples = [Example(str(i), texts[i % 2].format(i), gold) for i, gold in enumerate(golds)]
    weight_of = {}
    for example, weight in zip(examples, balanced(examples), strict=True):
        weight_of[example.gold] = weight_of.get(example.gold, 0.0) + weight
    assert max(weight_of.values()) == pytest.approx(min(weight_of.values()))


def test_weights_count_right_answers_of_a_category_alike_and_categories_by_their_questions():
    golds = [("a", "1"), ("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "7")]
    examples = [
        Example(str(i), "", gold, category=category) for i, (category, gold) in enumerate(golds)
    ]
    assert balanced(examples).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2, 1, 1])


def test_a_choice_that_is_not_shown_to_help_keeps_the_identity():
    policy = policy_of(planted())
    assert policy.validation.is_shown_to_help and policy.validation.paired.only_second == 0
    score = np.random.default_rng(1).random((N, 3))  # the programs differ by chance alone
    lucky = policy_of(evidence(score))
    assert lucky.validation.p >= 0.05 and not lucky.validation.is_shown_to_help
    assert all(program.is_identity for (program,) in lucky.rank(PROMPTS, 1))
    # Fewer layers are still to be had for those who ask for them.
    assert {p.n_slots for (p,) in lucky.within(6.5, "short").rank(PROMPTS, 1)} == {6}


def test_a_gain_by_another_favourite_answer_is_none_in_the_validation():
    examples, score = favourites()
    chosen = torch.ones(N, dtype=torch.long)  # always the program that says Yes
    right = torch.tensor((score > 0.5).astype(float))
    questions, nothing = torch.arange(N), torch.zeros(N)
    raw = validate(chosen, right, torch.ones(N, dtype=torch.float64), questions, nothing)
    assert raw.is_shown_to_help and raw.paired.p < 0.01
    fair = validate(chosen, right, torch.from_numpy(balanced(examples)), questions, nothing)
    assert not fair.is_shown_to_help and abs(fair.gain) < 1e-9


def test_the_sign_flip_test_agrees_with_mcnemar_where_all_weights_are_one():
    right = torch.zeros(60, 2)
    right[:14, 1], right[14:19, 0] = 1.0, 1.0
    right[20] = math.nan
    chosen = torch.ones(60, dtype=torch.long)
    found = validate(chosen, right, torch.ones(60), torch.arange(60), torch.zeros(60))
    assert (found.paired.only_first, found.paired.only_second, found.paired.total) == (14, 5, 59)
    assert found.p == pytest.approx(found.paired.p, abs=0.01)
    assert found.gain == pytest.approx(found.paired.difference)


def test_copies_of_questions_make_no_choice_surer():
    right = torch.zeros(60, 2)
    right[:4, 1] = 1.0
    chosen, weights = torch.ones(60, dtype=torch.long), torch.ones(60)
    once = validate(chosen, right, weights, torch.arange(60), torch.zeros(60))
    copies = chosen.repeat(3), right.repeat(3, 1), weights.repeat(3)
    thrice = validate(*copies, torch.arange(60).repeat(3), torch.zeros(180))
    assert thrice.paired.p == pytest.approx(once.paired.p) and thrice.paired.only_first == 12
    assert thrice.p == pytest.approx(once.p, abs=0.01) and not thrice.is_shown_to_help
    assert thrice.gain == pytest.approx(once.gain)
    alone = validate(*copies, torch.arange(180), torch.zeros(180))
    assert alone.p < 0.01  # what groups are for


def test_what_is_expected_of_a_question_was_not_learned_from_its_twin():
    rng = torch.Generator().manual_seed(0)
    features, score = torch.randn(30, 4, generator=rng), torch.rand(60, 3, generator=rng)
    group, config = torch.arange(30).repeat(2), SelectorConfig(ridges=(1.0,))

    def expected(score, *group):
        return learn(features.repeat(2, 1), evidence(score.numpy()), config, *group).predicted_QP

    with_groups, without = expected(score, group), expected(score)
    n_leaks = 0
    for question in range(30):
        leaked = score.clone()
        leaked[question] = 0.0
        twin = question + 30
        assert torch.equal(expected(leaked, group)[twin], with_groups[twin])
        n_leaks += not torch.equal(expected(leaked)[twin], without[twin])
    assert n_leaks > 15  # what groups are for


def test_the_gate_keeps_the_identity_unless_the_margin_is_passed():
    scores = torch.tensor([[0.5, 0.53, 0.1], [0.5, 0.58, 0.1]])
    slots = torch.tensor([8.0, 9.0, 6.0])
    assert Gate(0.0, 0.0).choose(scores, slots).tolist() == [1, 1]
    assert Gate(0.05, 0.0).choose(scores, slots).tolist() == [0, 1]
    assert Gate(0.0, 0.05).choose(scores, slots).tolist() == [0, 1]
    assert Gate(math.inf, 0.0).choose(scores, slots).tolist() == [0, 0]
    assert scores[0, 0] == 0.5


def test_a_tuned_gate_answers_most_right_within_the_layers_allowed():
    predicted = torch.tensor([[0.5, 0.52, 0.3]] * 10)
    right = torch.tensor([[1.0, 0.0, 1.0]] * 5 + [[1.0, float("nan"), 0.0]] * 5)
    slots = torch.tensor([8.0, 9.0, 6.0])
    weights = torch.ones(10)
    assert tune(predicted, right, weights, slots).choose(predicted, slots).tolist() == [0] * 10
    short = tune(predicted, right, weights, slots, max_slots=7.0)
    assert short.choose(predicted, slots).tolist() == [2] * 10
    assert tune(predicted, right, weights, slots, max_slots=3.0).margin == math.inf


def test_questions_that_keep_the_identity_count_with_its_layers():
    predicted = torch.tensor([[0.5, 0.9, 0.6]] * 10)
    right, slots = torch.ones(10, 3), torch.tensor([8.0, 9.0, 6.0])
    far = torch.arange(10) < 5
    gate = tune(predicted, right, torch.ones(10), slots, max_slots=7.0, far_Q=far)
    assert gate.choose(predicted, slots, far).tolist() == [0] * 5 + [2] * 5
    assert (
        tune(predicted, right, torch.ones(10), slots, max_slots=6.5, far_Q=far).margin == math.inf
    )
    assert tune(predicted, right, torch.ones(10), slots, max_slots=6.5).margin < math.inf


def test_a_selector_with_fewer_layers_takes_the_shorter_program():
    policy = policy_of(planted())
    short = policy.within(6.5, "short")
    assert {p.n_slots for (p,) in short.rank(PROMPTS, 1)} == {6}
    assert (short.name, policy.name) == ("short", "selector")
    with pytest.raises(ConfigError, match="shortest program has 6 layer passes"):
        policy.within(5.5, "selector:5.5")
    assert {p.n_slots for (p,) in policy.rank(PROMPTS, 1)} == {8, 9}


def test_two_encoders_are_refused():
    with pytest.raises(ConfigError, match="give one of them"):
        SelectorConfig(text_encoder="some/encoder", layer=3)


class NoModel:
    model_id, name = "other", "tiny"


@pytest.mark.parametrize("score", [0.3, 0.0, 1.0])
def test_where_all_programs_do_equally_well_the_identity_stays(score):
    policy = policy_of(evidence(np.full((N, 3), score)))
    assert not policy.validation.is_shown_to_help and policy.validation.paired.p == 1
    assert {ranked[0] for ranked in policy.rank(PROMPTS, 1)} == {MENU.programs[0]}
    # Where no program breaks anything, the shortest one is free.
    assert {p.n_slots for (p,) in policy.within(6.5, "short").rank(PROMPTS, 1)} == {6}


def test_where_no_answer_can_be_graded_the_identity_stays():
    table = replace(evidence(np.zeros((N, 3))), right_QP=np.full((N, 3), np.nan))
    policy = policy_of(table)
    assert {ranked[0] for ranked in policy.rank(PROMPTS, 1)} == {MENU.programs[0]}
    assert policy.validation.paired.total == 0


def test_too_few_questions_are_said():
    table = planted()
    with pytest.raises(DataError, match=r"3 questions are too few .* --limit 50"):
        train_selector(NoModel(), MENU, PROMPTS[:3], table, SelectorConfig())
    groups = [prompt[:1] for prompt in PROMPTS]
    with pytest.raises(DataError, match="2 questions are too few"):
        train_selector(NoModel(), MENU, PROMPTS, table, SelectorConfig(), groups)


def test_a_missing_or_foreign_selector_or_menu_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no trained selector: run 'skiploop train --method"):
        load_selector(tmp_path, NoModel())
    with pytest.raises(RunError, match="holds no menu: run 'skiploop menu build"):
        Menu.load(tmp_path)
    Path(tmp_path / "menu.json").write_text('{"n_layers": 8, "programs": ["9:10x0"]}')
    with pytest.raises(RunError, match="cannot read"):
        Menu.load(tmp_path)


def test_a_selector_that_is_loaded_computes_no_choice_anew(tmp_path, monkeypatch):
    policy = policy_of(planted())
    policy.data.save(tmp_path / "model.safetensors")
    monkeypatch.setattr("skiploop.policies.selector.validation.choose", None)
    data = SelectorData.load(tmp_path / "model.safetensors")
    assert SelectorPolicy(MENU, policy.features, data).validation == policy.validation


def test_menus_come_back_as_they_were_saved(tmp_path):
    MENU.save(tmp_path)
    assert Menu.load(tmp_path) == MENU
    assert first_change(MENU) == 2


def test_prompts_are_encoded_once_while_they_are_remembered_and_anew_afterwards():
    encoder = TwoKinds()
    asked = []
    encode = encoder.encode
    encoder.encode = lambda prompts: asked.extend(prompts) or encode(prompts)
    features = PromptFeatures(encoder)
    expected = features.of(["ax", "b", "ax"])
    features.remember(["ax", "b", "ax"])
    asked.clear()
    assert torch.equal(features.of(["ax", "b", "ax"]), expected)
    assert torch.equal(features.of(["b", "axx"])[:1], expected[1:2])
    assert asked == ["axx"]
    features.forget()
    features.of(["ax"])
    assert asked == ["axx", "ax"]


def test_calibration_compares_expected_scores_with_scores_and_counts_right_answers_apart():
    predicted = torch.arange(20.0).reshape(10, 2) / 20
    score, right = predicted + 0.01, (predicted > 0.45).float()
    right[0, 0] = torch.nan  # ungraded
    bins = calibration(predicted, score, right)
    assert [one.observed.value - one.expected for one in bins] == pytest.approx(
        [0.01] * 10, abs=1e-6
    )
    assert sum(one.right.total for one in bins) == 19
    assert sum(one.right.count for one in bins) == 10
    assert [one.expected for one in bins] == sorted(one.expected for one in bins)
    assert (bins[-1].expected, bins[-1].right) == (pytest.approx(0.95), Share(1, 1))


def test_scores_of_one_question_are_no_evidence_of_their_own_in_the_calibration():
    torch.manual_seed(0)
    score = torch.rand(40, 1).repeat(1, 50)
    bins = calibration(torch.zeros(40, 50), score, torch.ones(40, 50))
    half = (bins[0].observed.interval[1] - bins[0].observed.interval[0]) / 2
    assert bins[0].observed.total <= 40  # questions, not 200 answers
    assert half > 0.05
