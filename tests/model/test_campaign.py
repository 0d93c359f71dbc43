from dataclasses import replace

import pytest
from families import load
from parity import FirstLetterTask, ParityTask

from skiploop.config import from_dict
from skiploop.errors import ConfigError, DataError
from skiploop.programs.scales import scales_of
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.search.methods import BAYESIAN, GRADIENT, TREE
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

CONFIG = SearchConfig(limit=5, budget=12)
each_method = pytest.mark.parametrize("method", [BAYESIAN, TREE])


@pytest.fixture(scope="module")
def stack():
    return load("llama")


def campaign(stack, path, method=BAYESIAN, *, seed=1, progress=None, task=None):
    task = task or ParityTask()
    runner = TrialRunner(stack, task, TrialStore(path), progress)
    config = replace(CONFIG, method=method)
    return Campaign(runner, task.examples("train", CONFIG.limit), config, seed)


def kill_after(n):
    """Return what interrupts a search after more than so many trials."""
    n_trials = 0

    def kill(trials):
        nonlocal n_trials
        n_trials += len(trials)
        if n_trials > n:
            raise KeyboardInterrupt

    return kill


def asked(campaign, source):
    found = campaign.runner.store.asked(source, campaign.space.n_layers)
    return {key: [(t.program, t.correct) for t in trials] for key, trials in found.items()}


@each_method
def test_each_question_gets_the_identity_and_as_many_programs_as_the_budget(
    stack, tmp_path, method
):
    one = campaign(stack, tmp_path / "a.sqlite", method)
    one.search()
    for trials in asked(one, "search").values():
        programs = [program for program, _ in trials]
        assert programs[0].is_identity
        assert len(set(programs)) == CONFIG.budget + 1
        assert all(program in one.space for program in programs)


@each_method
def test_a_search_that_was_killed_goes_on_to_the_same_trials(stack, tmp_path, method):
    whole = campaign(stack, tmp_path / "whole.sqlite", method)
    whole.search()
    whole.control()
    path = tmp_path / "killed.sqlite"
    with pytest.raises(KeyboardInterrupt):
        campaign(stack, path, method, progress=kill_after(40)).search()
    again = campaign(stack, path, method)
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


def test_questions_have_trees_of_their_own(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite", TREE)
    one.search()
    firsts = [tuple(program for program, _ in trials) for trials in asked(one, "search").values()]
    assert len(set(firsts)) == len(firsts)
    other = campaign(stack, tmp_path / "b.sqlite", TREE, seed=2)
    other.search()
    assert asked(other, "search") != asked(one, "search")


def test_a_bayesian_search_fills_batches_and_is_the_same_with_every_seed(stack, tmp_path):
    sizes = []
    one = campaign(stack, tmp_path / "a.sqlite", progress=lambda trials: sizes.append(len(trials)))
    one.search()
    assert sizes == [5, 20, 40]  # five questions: the identity, then four programs each, then eight
    other = campaign(stack, tmp_path / "b.sqlite", seed=2)
    other.search()
    assert asked(other, "search") == asked(one, "search")


def test_a_bayesian_search_knows_how_likely_right_answers_are(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite", task=FirstLetterTask())
    one.search()
    trials = [trial for some in one.runner.store.asked("search", 6).values() for trial in some]
    assert len(trials) == 5 * 13 and all(trial.gold_logprob < 0 for trial in trials)


def test_a_gradient_search_goes_uphill_and_its_control_has_the_same_scales(stack, tmp_path):
    one = campaign(stack, tmp_path / "a.sqlite", GRADIENT, task=FirstLetterTask())
    one.search()
    one.control()
    drawn = asked(one, "random")
    found = one.runner.store.asked("search", 6)
    assert any(len(trials) > 2 for trials in found.values())
    for example_id, trials in found.items():
        logprobs = [trial.gold_logprob for trial in trials]
        assert trials[0].program.is_identity and max(logprobs[1:], default=0) > logprobs[0]
        assert not any(trial.correct for trial in trials[:-1])  # it ends with a right answer
        assert all(program.n_slots == 6 for program, _ in drawn.get(example_id, ()))
        scales = [sorted(scales_of(trial.program)) for trial in trials[1:]]
        assert [sorted(scales_of(program)) for program, _ in drawn.get(example_id, ())] == scales


def test_a_gradient_search_that_was_killed_goes_on_to_the_same_trials(stack, tmp_path):
    whole = campaign(stack, tmp_path / "whole.sqlite", GRADIENT, task=FirstLetterTask())
    whole.search()
    path = tmp_path / "killed.sqlite"
    task = FirstLetterTask()
    with pytest.raises(KeyboardInterrupt):
        campaign(stack, path, GRADIENT, task=task, progress=kill_after(8)).search()
    again = campaign(stack, path, GRADIENT, task=task)
    again.search()
    assert asked(again, "search") == asked(whole, "search")


def test_a_gradient_search_needs_right_answers_as_the_model_would_write_them(stack, tmp_path):
    with pytest.raises(DataError, match=r"does not know how the right answer of .* is written"):
        campaign(stack, tmp_path / "a.sqlite", GRADIENT).search()


def test_methods_go_by_their_old_names_too_and_others_are_refused():
    assert from_dict(SearchConfig, {"rules": "widening"}).method == TREE
    assert from_dict(SearchConfig, {}).method == BAYESIAN
    with pytest.raises(ConfigError, match="unknown method 'tre': did you mean 'tree'"):
        SearchConfig(method="tre")
    with pytest.raises(ConfigError, match="bayesian has no choice of exploration, max_runs"):
        SearchConfig(exploration=1.0, max_runs=3)
