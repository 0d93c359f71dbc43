"""How many prompts wall times are measured on."""

from types import SimpleNamespace

import pytest

from skiploop import Program
from skiploop.evaluation import timing
from skiploop.policies.base import FixedPolicy, IdentityPolicy, Ranked

SHORT = Program.parse("1:3x0", 6)
METHODS = [Ranked(IdentityPolicy(6)), Ranked(FixedPolicy([SHORT], "short"))]
PROMPTS = [f"{i}" for i in range(100)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only generations move, by what `seconds` says of prompt and program."""
    now = SimpleNamespace(s=0.0, seconds=lambda prompt, program: program.n_slots / 6)

    def generation_s(stack, prompt, program):
        now.s += now.seconds(int(prompt), program)
        return now.seconds(int(prompt), program)

    monkeypatch.setattr(timing, "_generation_s", generation_s)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now.s)
    return now


def measured(prompts=PROMPTS):
    return timing.time_choices(SimpleNamespace(n_layers=6), prompts, METHODS)


def test_prompts_that_all_say_the_same_are_few(clock):
    found = measured()
    assert found.n_prompts == timing.MIN_PROMPTS
    assert found.ratio("short") == pytest.approx(4 / 6)
    assert found.spread("short") < 1e-9
    assert [len(s) for s in found.wall_s.values()] == [timing.N_REPETITIONS] * 2
    assert sum(found.prompt_s["short"]) == pytest.approx(found.wall_s["short"][0])
    assert measured(PROMPTS[:2]).n_prompts == 2


def test_prompts_that_differ_are_as_many_as_the_spread_needs(clock):
    clock.seconds = lambda prompt, program: 0.01 * (1 + prompt % 2 * (program != SHORT) / 9)
    found = measured()
    assert timing.MIN_PROMPTS < found.n_prompts < len(PROMPTS)
    assert found.spread("short") <= timing.WIDTH


def test_no_prompt_is_started_when_time_is_up(clock):
    clock.seconds = lambda prompt, program: 1 + prompt % 2 * (program != SHORT)
    found = measured()
    assert timing.MIN_PROMPTS <= found.n_prompts < 10
    assert found.spread("short") > timing.WIDTH
