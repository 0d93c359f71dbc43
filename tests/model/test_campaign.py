import pytest
from families import load
from parity import ParityTask

from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

CONFIG = SearchConfig(limit=5, budget=12)


@pytest.fixture(scope="module")
def stack():
    return load("llama")


def campaign(stack, path, *, seed=1, progress=None):
    task = ParityTask()
    runner = TrialRunner(stack, task, TrialStore(path), progress)
    return Campaign(runner, task.examples("train", CONFIG.limit), CONFIG, seed)


def asked(campaign, source):
    found = campaign.runner.store.asked(source, campaign.space.n_layers)
    return {key: [(t.program, t.correct) for t in trials] for key, trials in found.items()}


def test_each_question_gets_the_identity_and_as_many_programs_as_the_budget(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite")
    one.search()
    for trials in asked(one, "search").values():
        programs = [program for program, _ in trials]
        assert programs[0].is_identity
        assert len(set(programs)) == CONFIG.budget + 1
        assert all(program in one.space for program in programs)


def test_a_search_that_was_killed_goes_on_to_the_same_trials(stack, tmp_path):
    whole = campaign(stack, tmp_path / "whole.sqlite")
    whole.search()
    whole.control()
    n_trials = 0

    def kill(trials):
        nonlocal n_trials
        n_trials += len(trials)
        if n_trials > 40:
            raise KeyboardInterrupt

    path = tmp_path / "killed.sqlite"
    with pytest.raises(KeyboardInterrupt):
        campaign(stack, path, progress=kill).search()
    again = campaign(stack, path)
    n_known = len(again.runner.store)
    again.search()
    again.control()
    assert n_known > 40
    assert again.runner.task.n_graded == len(again.runner.store) - n_known
    for source in ("search", "random"):
        assert asked(again, source) == asked(whole, source)


def test_the_control_tries_as_many_programs_with_as_many_edits(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite")
    one.search()
    one.control()
    searched, drawn = asked(one, "search"), asked(one, "random")
    for example_id, trials in searched.items():
        edits = [one.space.n_edits(program) for program, _ in trials]
        control = [program for program, _ in drawn[example_id]]
        assert [one.space.n_edits(p) for p in control] == edits[1:]
        assert len(set(control)) == len(control)


def test_questions_have_searches_of_their_own(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite")
    one.search()
    firsts = [tuple(program for program, _ in trials) for trials in asked(one, "search").values()]
    assert len(set(firsts)) == len(firsts)
    other = campaign(stack, tmp_path / "b.sqlite", seed=2)
    other.search()
    assert asked(other, "search") != asked(one, "search")
