"""Menus and selectors on tiny models: from candidates to a policy that a run folder keeps."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from families import N_LAYERS, load
from parity import FirstLetterTask, ParityTask

from skiploop import Program
from skiploop.errors import ConfigError, ProgramError, RunError
from skiploop.menus.menu import Menu, MenuConfig, build_menu, coverage, race
from skiploop.policies.selector.gate import Gate
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import load_selector, train_selector
from skiploop.tasks.base import Example
from skiploop.tasks.questions import QuestionTask
from skiploop.trials.runner import TrialRunner
from skiploop.trials.score_table import ScoreTable, collect
from skiploop.trials.store import TrialStore

CONFIG = MenuConfig(size=5, race_questions=12, limit=12, first_layer=1, max_block=2)
IDENTITY = Program.identity(N_LAYERS)
PROMPTS = [f"{i} is {'odd' if i % 2 else 'even'}" for i in range(60)]


@pytest.fixture
def runner(tmp_path):
    return TrialRunner(load("llama"), FirstLetterTask(), TrialStore(tmp_path / "trials.sqlite"))


def test_evidence_holds_verdicts_and_probabilities_of_the_right_answer(runner):
    examples = runner.task.examples("train", 6)
    programs = [IDENTITY, Program.parse("1:2x0", N_LAYERS)]
    table = collect(runner, examples, programs)
    trials = runner.grade_pairs([(e, p) for e in examples for p in programs], score_gold=True)
    assert table.right_QP.ravel().tolist() == [float(t.correct) for t in trials]
    assert np.log(table.score_QP).ravel() == pytest.approx([t.gold_logprob for t in trials])


def test_where_no_right_answer_can_be_written_the_verdict_is_the_score(tmp_path):
    runner = TrialRunner(load("llama"), ParityTask(""), TrialStore(tmp_path / "trials.sqlite"))
    table = collect(runner, runner.task.examples("train", 20), [IDENTITY])
    assert np.isnan(table.right_QP).all()
    assert not table.score_QP.any()
    task = ParityTask()
    runner = TrialRunner(load("llama"), task, TrialStore(tmp_path / "graded.sqlite"))
    table = collect(runner, task.examples("train", 20), [IDENTITY])
    assert (table.score_QP == table.right_QP).all() and 0 < table.score_QP.mean() < 1


def asked(golds, texts, choices=(), cut=()):
    """Which answers of the first of two programs are right for no question at all."""
    lines = [Example(str(i), f"q{i}", gold, choices) for i, gold in enumerate(golds)]
    splits = {"train": lines, "validation": [], "test": []}
    task = QuestionTask("t", splits, shots=[], max_new_tokens=0 if choices else 8)
    trials = [
        SimpleNamespace(
            correct=grade.correct,
            answer="" if i in cut else grade.answer,
            text=text,
            stopped_by="decided" if i in cut else "stop",
            gold_logprob=None,
        )
        for i, (grade, text) in enumerate(zip(task.grade_many(lines, texts), texts, strict=True))
    ]
    both = [trial for one in trials for trial in (one, trials[0])]
    runner = SimpleNamespace(task=task, grade_pairs=lambda pairs, score_gold: both)
    table = collect(runner, lines, [IDENTITY, Program.parse("1:2x0", N_LAYERS)])
    return [i for i, is_lost in enumerate(table.is_lost) if is_lost]


@pytest.mark.parametrize(
    ("golds", "texts", "lost"),
    [
        (["Yes", "No", "No"], [" The", " yes.", ""], [0, 2]),
        (["7", "8.0", "9"], [" about 8", " none", " 12"], [1, 2]),
        (["Yes", "No", "12"], [" no", " 12", " 11"], [2]),
    ],
)
def test_evidence_tells_words_that_are_right_for_no_question(golds, texts, lost):
    assert asked(golds, texts) == lost


def test_beginnings_are_such_words_only_if_no_right_answer_starts_so():
    assert asked(["the mall", "a park", "no"], ["the p", "the q", "n"], cut={0, 1, 2}) == [0, 1]


def test_choices_are_such_words_if_they_are_never_right():
    choices = ("Yes", "No", "None of these")
    assert asked(["Yes", "No", "Yes"], ["None of these", "Yes", "No"], choices) == [0]


def test_a_menu_starts_with_the_identity_and_every_program_adds_something(runner):
    menu = build_menu(runner, runner.task.examples("train", 12), CONFIG)
    assert menu.programs[0] == IDENTITY and len(set(menu.programs)) == 5
    assert list(menu.gains) == sorted(menu.gains) and menu.gains[-1] > menu.gains[0]
    assert all(edit.start >= 1 for program in menu.programs for edit in program.edits)
    again = build_menu(runner, runner.task.examples("train", 12), CONFIG)
    assert again == menu


def test_a_race_keeps_the_first_program_and_a_quarter_of_the_field(runner):
    space = CONFIG.space(N_LAYERS)
    programs = [IDENTITY, *(IDENTITY.with_edit(edit) for edit in space.edits(IDENTITY))]
    seen = race(runner, runner.task.examples("train", 12), programs, layer_cost=0.0)
    assert seen.programs[0] == IDENTITY
    assert len(seen.programs) == -(-len(programs) // 4)
    assert seen.score_QP.shape == (12, len(seen.programs))


def test_with_a_price_of_a_layer_short_programs_get_places(runner):
    examples = runner.task.examples("train", 12)
    free = build_menu(runner, examples, CONFIG)
    dear = build_menu(runner, examples, dataclasses.replace(CONFIG, layer_cost=0.9))
    assert dear.programs[1].n_slots <= N_LAYERS - CONFIG.max_block
    assert sum(p.n_slots for p in dear.programs) < sum(p.n_slots for p in free.programs)
    assert dear.gains[0] == free.gains[0] and dear.gains[1] > 0.9 * CONFIG.max_block
    with pytest.raises(ConfigError, match="layer cost is -1"):
        dataclasses.replace(CONFIG, layer_cost=-1)


def test_coverage_grows_with_the_menu():
    right = np.array([[1, 0, 0], [0, 0, 1], [np.nan, 1, 0], [0, 0, 0]])
    assert list(coverage(right)) == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    "wrong", [{"size": 1}, {"race_questions": 0}, {"race_questions": 99}, {"first_layer": -1}]
)
def test_impossible_menus_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"at least|at most"):
        MenuConfig(**{"limit": 20, "race_questions": 10, **wrong})


@pytest.mark.parametrize(
    ("given", "n_questions", "fitted"),
    [
        ({}, 72, (72, 24, 6)),
        ({}, 3, (3, 1, 2)),
        ({}, 1500, (1500, 120, 24)),
        ({"race_questions": 40}, 72, (72, 40, 6)),
        ({"size": 24}, 72, (72, 24, 24)),
    ],
)
def test_sizes_of_a_menu_that_nobody_gave_fit_the_questions(given, n_questions, fitted):
    config = MenuConfig(**given).fitted(n_questions)
    assert (config.limit, config.race_questions, config.size) == fitted


def test_more_trials_are_never_judged_than_a_menu_was_expected_to(runner):
    told = []
    runner._progress = told.extend
    build_menu(runner, runner.task.examples("train", 12), CONFIG)
    n_others = CONFIG.limit - CONFIG.race_questions
    n_pairs = len({(trial.example_id, trial.program) for trial in told})
    assert n_pairs <= CONFIG.n_trials(N_LAYERS) - n_others * CONFIG.size


def test_a_menu_that_may_change_no_layer_is_refused(runner):
    config = MenuConfig(race_questions=2, limit=2, first_layer=N_LAYERS)
    with pytest.raises(ConfigError, match="lower first_layer"):
        build_menu(runner, runner.task.examples("train", 2), config)


def selector_of_chance(stack, config):
    """Return a selector that learned from random scores."""
    programs = (IDENTITY, Program.parse("2:3x2", N_LAYERS), Program.parse("1:2x0", N_LAYERS))
    menu = Menu(programs, stack.model_id, (0.1, 0.2, 0.3))
    score = np.random.default_rng(0).random((60, 3))
    table = ScoreTable(
        tuple(PROMPTS), programs, (score > 0.5).astype(float), score, np.ones(len(PROMPTS))
    )
    return train_selector(stack, menu, PROMPTS, table, config)


def test_a_selector_is_kept_and_chooses_the_same_when_it_is_loaded(tmp_path):
    stack = load("llama")
    policy = selector_of_chance(stack, SelectorConfig())
    assert policy.features.encoder.spec["layer"] == 4  # two thirds of six
    policy.save(tmp_path)
    loaded = load_selector(tmp_path, stack)
    assert loaded.rank(PROMPTS, 3) == policy.rank(PROMPTS, 3)
    assert loaded.gate == policy.gate
    with pytest.raises(RunError, match="made for weights"):
        load_selector(tmp_path, load("qwen3"))


def test_a_selector_on_a_text_encoder_is_kept_with_it_and_never_asks_the_model(
    bert_folder, tmp_path
):
    stack = load("llama")
    policy = selector_of_chance(stack, SelectorConfig(text_encoder=bert_folder))
    policy.save(tmp_path)
    loaded = load_selector(tmp_path, stack)
    policy.gate = loaded.gate = Gate(0.0, 0.0)  # chance never passes the validation
    ranked = policy.rank(PROMPTS, 3)
    assert loaded.rank(PROMPTS, 3) == ranked and len(set(map(tuple, ranked))) > 1
    assert stack.work.n_layer_tokens == 0
    with pytest.raises(ConfigError, match=r"described by .*text-encoder.*: use rank\(\)"):
        loaded.during_prefill()


def test_with_an_anchor_damped_loops_compete_for_places_too(runner):
    config = dataclasses.replace(CONFIG, size=12, max_edits=2, damping_anchors=(0.0, 0.5))
    edits = config.edits(N_LAYERS)
    plain = [edit for edit in edits if edit.anchor is None]
    assert plain == CONFIG.edits(N_LAYERS)
    assert {str(edit) for edit in edits if edit.start == 3} >= {"3:4x2", "3:4x3~0", "3:5x3~0.5"}
    assert all(edit.stop < N_LAYERS for edit in edits if edit.anchor is not None)
    examples = runner.task.examples("train", 12)
    build_menu(runner, examples, config)
    raced = [(examples[0].id, str(edit)) for edit in edits]
    assert len(runner.store.get(raced)) == len(edits)
    damped = Menu((IDENTITY, Program.parse("3:4x3~0.5", N_LAYERS)), "weights", (0.1, 0.2))
    damped.save(runner.store.path.parent)
    assert Menu.load(runner.store.path.parent) == damped
    with pytest.raises(ConfigError, match="numbers from 0 to 1"):
        dataclasses.replace(CONFIG, damping_anchors=(1.5,))


def test_candidates_race_in_place_of_all_single_edits(runner):
    examples = runner.task.examples("train", 12)
    texts = ("2:4x2", "0:6x3", "1:2x0 4:5x2")
    config = dataclasses.replace(CONFIG, max_edits=1, candidates=texts)
    menu = build_menu(runner, examples, config)
    assert {str(program) for program in menu.programs} == {"identity", *texts}
    wrong = dataclasses.replace(config, candidates=("7:9x0",))
    with pytest.raises(ProgramError, match="7:9x0 ends after layer 5"):
        build_menu(runner, examples, wrong)
