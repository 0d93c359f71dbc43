import math

import numpy as np
import pytest
from families import load
from parity import ParityTask

from skiploop import Program, ProgramSpace
from skiploop.errors import DataError
from skiploop.menus.menu import MenuConfig
from skiploop.policies.by_category import CategoryPolicy, best_by_category, check_categories
from skiploop.policies.damped import damped_loop
from skiploop.policies.random_edits import RandomEditsPolicy, random_programs
from skiploop.policies.static import N_CANDIDATES, promising, race
from skiploop.tasks.base import Example, Grade
from skiploop.trials.runner import TrialRunner
from skiploop.trials.score_table import ScoreTable
from skiploop.trials.store import Trial, TrialStore


class PlantedTask(ParityTask):
    """Answers are right if the planted program gave them."""

    def __init__(self, stack, planted):
        super().__init__()
        self.stack, self.planted = stack, planted

    def grade(self, example, text):
        prompt = [self.prompt(example)]
        (best,) = self.stack.generate(prompt, self.planted, max_new_tokens=4, stop=self.stop)
        return Grade(text == best.text, answer=text)


def test_the_race_is_won_by_the_planted_program(tmp_path):
    stack = load("llama")
    planted = Program.parse("1:2x2", 6)
    runner = TrialRunner(stack, PlantedTask(stack, planted), TrialStore(tmp_path / "t.sqlite"))
    candidates = [Program.parse(text, 6) for text in ("0:1x0", "4:6x0", "1:2x2", "3:4x2")]
    ranked = race(runner, runner.task.examples("train", 12), candidates)
    assert ranked[0] == planted
    assert set(ranked) == {*candidates, Program.identity(6)}


def test_the_race_keeps_the_identity_on_a_tie(tmp_path):
    runner = TrialRunner(load("llama"), ParityTask(""), TrialStore(tmp_path / "trials.sqlite"))
    examples = runner.task.examples("train", 4)  # nothing can be graded: nobody has a right answer
    ranked = race(runner, examples, [Program.parse("0:3x0", 6)])
    assert ranked[0].is_identity


def test_promising_programs_have_many_right_and_few_wrong_answers():
    def trial(program, correct):
        program = Program.parse(program, 12)
        return Trial("q", program, correct, "", "", "", 0, 0.0, "stop", 1, 9, "float32")

    trials = [trial("identity", True)] * 9
    trials += [trial("0:1x0", True)] * 3 + [trial("1:2x0", True)] * 3 + [trial("1:2x0", False)] * 4
    trials += [trial(f"{i}:{i + 1}x2", False) for i in range(10)]
    programs = promising(trials)
    assert [str(p) for p in programs[:2]] == ["0:1x0", "1:2x0"]
    assert len(programs) == N_CANDIDATES


def test_random_edits_are_different_single_edits_fixed_by_prompt_and_seed():
    policy = RandomEditsPolicy(ProgramSpace(12), seed=0)
    first, second = policy.rank(["a", "b"], 5)
    assert len(set(first)) == 5
    assert all(len(program.edits) == 1 for program in first)
    assert first != second
    assert policy.rank(["b", "a"], 5) == [second, first]
    assert RandomEditsPolicy(ProgramSpace(12), seed=1).rank(["a"], 5) != [first]
    assert RandomEditsPolicy(ProgramSpace(1, max_runs=1), seed=0).rank(["a"], 3) == [
        [Program.identity(1)]
    ]


def test_an_ungraded_answer_is_not_held_against_a_program():
    def trial(program, correct):
        program = Program.parse(program, 12)
        return Trial("q", program, correct, "", "", "", 0, 0.0, "stop", 1, 9, "float32")

    trials = [trial("0:1x0", None), trial("0:1x0", None), trial("1:2x0", False)]
    assert str(promising(trials)[0]) == "0:1x0"


def test_every_category_gets_its_best_program_and_unknown_categories_are_refused():
    texts = ("identity", "1:2x2", "4:5x0")
    programs = tuple(Program.parse(text, 6) for text in texts)
    examples = [Example(str(i), f"q{i}", "1", category="ab"[i % 2]) for i in range(8)]
    right_QP = np.array([[0, 1, 0] if e.category == "a" else [1, 1, 0] for e in examples], float)
    right_QP[0] = math.nan
    table = ScoreTable(tuple("01234567"), programs, right_QP, right_QP, np.ones(8))
    best = best_by_category(examples, table)
    assert best == {"a": programs[1], "b": programs[0]}  # ties stay with the first one
    policy = CategoryPolicy(best, {"x": "a", "y": "b"})
    assert policy.rank(["y", "x"], 3) == [[programs[0]], [programs[1]]]
    with pytest.raises(DataError, match="by-category has no program for the prompt 'z'"):
        policy.rank(["x", "z"], 1)
    check_categories(examples, examples[:3], ["by-category"])
    other = Example("9", "q", "1", category="c")
    with pytest.raises(DataError, match=r"1 of 2 questions .* learned from, such as 'c'"):
        check_categories(examples, [examples[0], other], ["selector", "by-category"])
    check_categories(examples, [examples[0], other], ["selector"])


def test_random_programs_have_the_operations_and_lengths_of_their_models():
    config = MenuConfig(damping_anchors=(0.0, 0.5))
    texts = ("identity", "4:5x0", "4:6x2", "4:6x2 8:9x0", "5:7x3~0.5", "4:10x0 11:12x2")
    like = [Program.parse(text, 12) for text in texts]
    drawn = random_programs(like, config.edits(12), config.max_block, seed=1)
    assert drawn == random_programs(like, config.edits(12), config.max_block, seed=1)
    assert drawn[0].is_identity and len(set(drawn)) == 6 and drawn[1:] != tuple(like[1:])
    assert [p.n_slots for p in drawn] == [p.n_slots for p in like]  # they cost the same
    assert all(edit.start >= config.first_layer for program in drawn for edit in program.edits)
    sorts = [[(e.runs, e.anchor is None) for e in p.edits] for p in drawn]
    assert sorts[1:5:3] == [[(0, True)], [(3, False)]]
    assert sorted(sorts[3]) == [(0, True), (2, True)]
    with pytest.raises(DataError, match="gave no program like"):
        random_programs([like[1]] * 9, config.edits(12), config.max_block, seed=1)


def test_random_damped_loops_have_anchors_of_the_menu():
    config = MenuConfig(damping_anchors=(0.0, 0.5))
    like = [Program.parse(f"{start}:{start + 1}x3~0", 30) for start in range(4, 24)]
    drawn = random_programs(like, config.edits(30), config.max_block, seed=3)
    assert {program.edits[0].anchor for program in drawn} == {0.0, 0.5}


def test_the_damped_baseline_is_one_loop_in_the_middle_with_a_layer_after_it():
    assert [str(damped_loop(n)) for n in (30, 28, 36)] == [
        "13:17x3~0.5",
        "12:16x3~0.5",
        "16:20x3~0.5",
    ]
    assert [str(damped_loop(n)) for n in (1, 2, 4)] == ["identity", "0:1x3~0.5", "0:3x3~0.5"]
