"""How methods are timed, and on how many questions."""

from types import SimpleNamespace

import pytest

from skiploop.evaluation import timing
from skiploop.policies.base import Method
from skiploop.tasks.base import Example

EXAMPLES = [Example(str(i), str(i), "") for i in range(100)]


class Timed(Method):
    """Moves a clock, by what `seconds` says of its name and the question."""

    def __init__(self, name, now, *, chooses=(), late=None):
        self.name, self.now, self.chooses, self.late = name, now, list(chooses), late
        self.n_needed = 1

    @property
    def chooses_late(self):
        return self.late is not None

    def choose(self, prompts):
        self.now.s += self.now.choosing
        return [self.chooses for _ in prompts]

    def answer_with(self, examples, chosen, evaluator):
        assert evaluator.stack.model.generation_config.eos_token_id is None
        assert evaluator.task.max_new_tokens == timing.N_NEW_TOKENS and not evaluator.task.stop
        self.now.n_answers[self.name] = self.now.n_answers.get(self.name, 0) + 1
        self.now.s += self.now.seconds(self.name, int(evaluator.prompt(examples[0])))
        return [[]]

    def answer_alone(self, example, evaluator):
        self.now.s += self.now.seconds(self.name, int(evaluator.prompt(example))) + self.late
        return []


@pytest.fixture
def now(monkeypatch):
    """A clock that only methods move."""
    clock = SimpleNamespace(s=0.0, choosing=0.0, n_answers={})
    clock.seconds = lambda name, number: 1 if name == "identity" else 4 / 6
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.s))
    return clock


def measured(*methods, examples=EXAMPLES):
    config = SimpleNamespace(eos_token_id=7)
    stack = SimpleNamespace(model=SimpleNamespace(generation_config=config))
    task = SimpleNamespace(prompt=lambda example: example.question, max_new_tokens=99)
    found = timing.time_answers(stack, task, examples, methods)
    assert config.eos_token_id == 7
    return found


def pair(now):
    return Timed("identity", now), Timed("short", now)


def test_questions_that_all_say_the_same_are_few(now):
    found = measured(*pair(now))
    assert found.n_prompts == timing.MIN_PROMPTS
    assert found.n_tokens == timing.N_NEW_TOKENS * timing.MIN_PROMPTS
    assert found.ratio("short") == pytest.approx(4 / 6)
    assert found.spread("short") < 1e-9
    assert [len(s) for s in found.wall_s.values()] == [timing.N_REPETITIONS] * 2
    assert sum(found.prompt_s["short"]) == pytest.approx(found.wall_s["short"][0])
    assert measured(*pair(now), examples=EXAMPLES[:2]).n_prompts == 2


def test_questions_that_differ_are_as_many_as_the_spread_needs(now):
    now.seconds = lambda name, number: 0.01 * (1 + number % 2 * (name == "identity") / 9)
    found = measured(*pair(now))
    assert timing.MIN_PROMPTS < found.n_prompts < len(EXAMPLES)
    assert found.spread("short") <= timing.WIDTH


def test_no_question_is_started_when_time_is_up(now):
    now.seconds = lambda name, number: 1 + number % 2 * (name == "identity")
    found = measured(*pair(now))
    assert timing.MIN_PROMPTS <= found.n_prompts < 10
    assert found.spread("short") > timing.WIDTH


def test_the_same_program_is_measured_once_and_what_needs_none_by_itself(now):
    methods = [
        Timed("identity", now, chooses="i"),
        Timed("static", now, chooses="i"),
        Timed("executor", now),
        Timed("other executor", now),
    ]
    found = measured(*methods)
    assert found.ratio("static") == 1 and found.ratio("executor") == pytest.approx(4 / 6)
    n_rounds = 1 + timing.N_REPETITIONS * found.n_prompts
    names = ("identity", "executor", "other executor")
    assert now.n_answers == dict.fromkeys(names, n_rounds)


def test_a_choice_while_the_prompt_runs_takes_what_it_adds_to_the_answer(now):
    now.choosing = 0.5
    early = Timed("early", now, chooses="e")
    late = Timed("late", now, chooses="l", late=0.125)
    found = measured(Timed("identity", now), early, late)
    assert found.choosing_s["early"] == pytest.approx(0.5)
    assert found.choosing_s["late"] == pytest.approx(0.125)
    assert found.ratio_with_choosing("late") == pytest.approx(4 / 6 + 0.125)
