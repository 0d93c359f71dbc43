from families import load
from parity import ParityTask

from skiploop import Program, ProgramSpace
from skiploop.baselines.random_edits import RandomEditsPolicy
from skiploop.baselines.static import N_CANDIDATES, promising, race
from skiploop.runner import TrialRunner
from skiploop.search.trials import Trial, TrialStore
from skiploop.tasks.base import Grade


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
        return Trial("q", program, correct, "", "", "", 0, 0.0, "stop", 1, 9, "float32")

    trials = [trial("identity", True)] * 9
    trials += [trial("0:1x0", True)] * 3 + [trial("1:2x0", True)] * 3 + [trial("1:2x0", False)] * 4
    trials += [trial(f"{i}:{i + 1}x2", False) for i in range(10)]
    programs = promising(trials, n_layers=12)
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
        return Trial("q", program, correct, "", "", "", 0, 0.0, "stop", 1, 9, "float32")

    trials = [trial("0:1x0", None), trial("0:1x0", None), trial("1:2x0", False)]
    assert str(promising(trials, n_layers=12)[0]) == "0:1x0"
