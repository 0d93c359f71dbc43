"""A policy next to the plain model, on a tiny model for which choosing pays."""

import dataclasses
import json
import shutil

import planted
import pytest

from skiploop import Program
from skiploop.errors import ConfigError, RunError
from skiploop.evaluation.timing import time_during_prefill
from skiploop.jsontext import plain
from skiploop.runs.demonstration import DemoConfig, search_one, show_gain
from skiploop.runs.session import Run

CONFIG = DemoConfig(policy="selector", limit=30, n_read=6, n_shown=3, n_timed=1)


@pytest.fixture
def run(tmp_path):
    shutil.copytree(planted.finished_run(), tmp_path / "run")
    return Run.open(tmp_path / "run")


def test_it_counts_what_each_program_answers(run):
    found = show_gain(run, run.selector, CONFIG)
    examples = run.task.examples("test")[6:36]
    programs = [ranked[0] for ranked in run.selector.rank(list(map(run.task.prompt, examples)), 1)]
    identity = Program.identity(run.stack.n_layers)
    runner = run.runner()
    plain = [t.correct for t in runner.grade_pairs([(e, identity) for e in examples])]
    chosen = [t.correct for t in runner.grade_pairs(list(zip(examples, programs, strict=True)))]
    assert (found.plain.count, found.chosen.count) == (sum(plain), sum(chosen))
    differing = [i for i in range(30) if plain[i] != chosen[i]]
    assert found.paired.only_first + found.paired.only_second == len(differing) >= 3
    assert [one.question for one in found.changed] == [examples[i].question for i in differing[:3]]
    assert found.solved == examples[plain.index(True)]
    assert found.mean_slots == sum(program.n_slots for program in programs) / 30


def test_started_again_it_runs_nothing_and_finds_the_same(run):
    first = show_gain(run, run.selector, CONFIG)
    n_trials = run.n_trials
    assert plain(show_gain(run, run.selector, CONFIG)) == plain(first)
    assert run.n_trials == n_trials


def test_other_settings_are_refused_by_name(run):
    show_gain(run, run.selector, CONFIG)
    other = DemoConfig(policy="selector", limit=29, n_read=6, n_shown=3, n_timed=1)
    with pytest.raises(RunError, match="demo: limit: 30 in the run, 29 asked"):
        show_gain(run, run.selector, other)


def test_a_demo_of_the_last_version_goes_on(run):
    config = dataclasses.replace(CONFIG, category="hen", limit=3)
    show_gain(run, run.selector, config)
    path = run.folder / "config.json"
    sections = json.loads(path.read_text())
    sections["compare"] = sections.pop("demo")
    sections["compare"]["kind"] = sections["compare"].pop("category")
    path.write_text(json.dumps(sections))
    opened = Run.open(run.folder)
    n_trials = opened.n_trials
    show_gain(opened, opened.selector, config)
    assert opened.n_trials == n_trials


def test_a_category_is_asked_alone_and_too_few_questions_are_refused(run):
    config = DemoConfig(policy="selector", limit=3, n_read=0, category="hen")
    assert {example.category for example in config.questions(run.task)} == {"hen"}
    with pytest.raises(ConfigError, match="asked for 3000: lower the limit"):
        DemoConfig(policy="selector", limit=3000, n_read=0).questions(run.task)


def test_both_are_timed_on_every_prompt(run):
    prompts = [run.task.prompt(example) for example in run.task.examples("test", 2)]
    timing = time_during_prefill(run.stack, prompts, run.selector)
    assert {name: len(found) for name, found in timing.prompt_s.items()} == {
        "identity": 2,
        "selector": 2,
    }


def test_one_question_is_searched_from_the_plain_model_on(run):
    example = run.task.examples("test", 1)[0]
    trials = search_one(run, example, budget=4)
    assert trials[0].program.is_identity and len(trials) == 5
    assert len({trial.program for trial in trials}) == 5
