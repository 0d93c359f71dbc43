"""One program for all prompts out of many: candidates, the held-out check, and what is kept."""

import json
import shutil

import planted
import pytest
from families import N_LAYERS, load
from parity import ParityTask

from skiploop import Program
from skiploop.errors import ConfigError, DataError, RunError
from skiploop.policies.blr import two_blocks
from skiploop.policies.damped import damped_windows
from skiploop.policies.held_out import HeldOut, judge
from skiploop.policies.mean_iterates import mean_loops
from skiploop.policies.rys import one_block_repeats
from skiploop.policies.sampled import TEMPERATURES, best_temperature, right_at
from skiploop.policies.sleb import removal_order
from skiploop.runs.methods.make import make_methods
from skiploop.runs.pipeline import EvaluateConfig, evaluate
from skiploop.runs.questions import choosing_examples
from skiploop.runs.session import Run
from skiploop.runs.tries import n_tries
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore


@pytest.fixture
def run(tmp_path):
    copied = shutil.copytree(planted.finished_run(), tmp_path / "run")
    shutil.rmtree(copied / "methods", ignore_errors=True)  # what other tests had found
    return Run.open(copied)


def method(name, run):
    return make_methods([name], run)[0]


def program_of(name, run):
    ((program,),) = method(name, run).choose(["any"])
    return program


def test_every_block_of_any_length_is_repeated_once():
    found = one_block_repeats(30)
    assert len(set(found)) == len(found) == 30 * 31 // 2
    assert {program.n_slots for program in found} == set(range(31, 61))
    assert all(len(program.edits) == 1 for program in found)


def test_two_blocks_are_combined_where_they_do_not_overlap():
    texts = ["2:4x2", "identity", "0:1x2", "3:5x2", "5:6x2"]
    ranked = [Program.parse(text, 6) for text in texts]
    assert [str(program) for program in two_blocks(ranked, beam=3)] == [
        "0:1x2 2:4x2",
        "0:1x2 3:5x2",
    ]
    assert len(two_blocks(ranked, beam=9)) == 5
    assert two_blocks(ranked[1:2]) == []


@pytest.mark.parametrize("n_layers", [2, 3, 6, 28, 30, 48])
def test_loops_that_mix_states_are_followed_by_a_layer(n_layers):
    for program in [*damped_windows(n_layers), *mean_loops(n_layers)]:
        assert program.edits[0].stop < n_layers
    assert damped_windows(n_layers) and mean_loops(n_layers)


def test_damped_windows_lie_in_the_middle_and_the_source_s_own_are_among_them():
    for n_layers, published in [(36, "15:19x3~0.5"), (28, "12:16x3~0.5"), (24, "13:17x3~0.5")]:
        assert published in map(str, damped_windows(n_layers))
    starts = {program.edits[0].start for program in damped_windows(30)}
    assert starts == set(range(9, 20))
    assert damped_windows(1) == mean_loops(1) == []


@pytest.mark.parametrize(
    ("fixed", "broken", "shows_gain"), [(6, 0, True), (5, 0, False), (0, 9, False), (9, 6, False)]
)
def test_a_gain_is_shown_by_more_fixed_than_broken_questions_and_a_small_p(
    fixed, broken, shows_gain
):
    assert HeldOut(100, fixed, broken).shows_gain is shows_gain


def test_a_program_is_judged_against_the_plain_model(tmp_path):
    stack = load("llama")
    runner = TrialRunner(stack, ParityTask(), TrialStore(tmp_path / "trials.sqlite"))
    examples = runner.task.examples("validation", 12)
    program = Program.parse("1:3x2", N_LAYERS)
    found = judge(runner, examples, program)
    pairs = [(e, p) for e in examples for p in (Program.identity(N_LAYERS), program)]
    right = [trial.correct for trial in runner.answer_pairs(pairs)]
    changed = [now - was for was, now in zip(right[::2], right[1::2], strict=True)]
    assert (found.fixed, found.broken) == (changed.count(1), changed.count(-1))
    assert found.n_questions == 12 and found.fixed + found.broken > 0
    assert judge(runner, examples, Program.identity(N_LAYERS)) == HeldOut(12, 0, 0)


@pytest.mark.parametrize("name", ["rys", "blr", "tflt", "mean-iterates", "tale"])
def test_what_wins_on_training_questions_is_used_only_if_validation_confirms_it(name, run):
    program = program_of(name, run)
    found = json.loads((run.folder / "methods" / name / "found.json").read_text())
    held_out = HeldOut(**found["held_out"])
    assert str(program) == (found["best"] if held_out.shows_gain else "identity")
    assert found["settings"]["model"] == run.stack.model_id
    n_validation = len(run.task.examples("validation"))
    assert held_out.n_questions == found["settings"]["n_checking"] == min(300, n_validation)


def test_a_second_making_reads_what_the_first_one_found(run):
    names = ["rys", "shortgpt:4", "sleb:4", "angular:4", "tale", "early-exit:4"]
    first = [method(name, run).choose(["any"]) for name in names]
    again, work = Run.open(run.folder), run.stack.work
    again.stack, again.store = run.stack, run.store
    n_calls, n_trials = work.n_calls, len(run.store)
    assert [method(name, again).choose(["any"]) for name in names] == first
    assert (work.n_calls, len(run.store)) == (n_calls, n_trials)


def test_layers_that_were_dropped_one_by_one_stay_dropped_under_a_lower_limit(run):
    dropped = [set(range(N_LAYERS)) - set(program_of(f"sleb:{n}", run).path) for n in (5, 3, 4, 6)]
    assert [len(one) for one in dropped] == [1, 3, 2, 0]
    assert dropped[0] < dropped[2] < dropped[1]
    found = json.loads((run.folder / "methods" / "sleb" / "found.json").read_text())
    assert set(found["order"]) == dropped[1]


def test_layers_that_were_found_before_an_interrupt_are_not_looked_for_again(run, monkeypatch):
    def until_two(stack, windows, n, known=()):
        if n > 2:
            raise KeyboardInterrupt
        return removal_order(stack, windows, n, known)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("skiploop.policies.sleb.removal_order", until_two)
        program_of("sleb:3", run)
    found = json.loads((run.folder / "methods" / "sleb" / "found.json").read_text())
    assert len(found["order"]) == 2
    dropped = set(range(N_LAYERS)) - set(program_of("sleb:3", run).path)
    assert dropped > set(found["order"])


@pytest.mark.parametrize("kind", ["shortgpt", "angular", "sleb", "tale"])
def test_limits_of_layers_are_kept_and_one_that_no_program_meets_is_refused(kind, run):
    assert [program_of(f"{kind}:{n}", run).n_slots for n in (6, 4.5, 1)] == [6, 4, 1]
    with pytest.raises(ConfigError, match=f"{kind}:0.5 drops all 6 layers: allow at least 1 layer"):
        method(f"{kind}:0.5", run)


def test_a_limit_below_the_first_exit_is_refused(run):
    with pytest.raises(ConfigError, match=r"early-exit:0\.5: no token exits before layer 1 of 6"):
        method("early-exit:0.5", run)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', None])
def test_a_damaged_file_of_what_was_found_is_named(damage, run):
    method("shortgpt:4", run)
    path = run.folder / "methods" / "shortgpt" / "found.json"
    path.write_text(path.read_text().replace("0.", "1.", 1) if damage is None else damage)
    with pytest.raises(RunError, match=r"found.json cannot be read: .*; delete it, and it is made"):
        method("shortgpt:4", run)
    path.unlink()
    assert program_of("shortgpt:4", run).n_slots == 4


def test_what_was_found_with_other_settings_is_found_again(run, monkeypatch):
    program_of("rys", run)
    path = run.folder / "methods" / "rys" / "found.json"
    before = json.loads(path.read_text())
    monkeypatch.setattr("skiploop.runs.questions.N_CHECKING", 5)
    program_of("rys", run)
    assert json.loads(path.read_text())["held_out"]["n_questions"] == 5 != before["held_out"]


def test_training_text_shorter_than_a_window_is_refused(run, monkeypatch):
    few = run.task.examples("train")[:2]
    monkeypatch.setattr(type(run.task), "examples", lambda *_: few)
    with pytest.raises(DataError, match=r"the calibration text has \d+ tokens, fewer than one win"):
        method("shortgpt:4", run)


def test_a_task_without_validation_questions_is_refused(run, monkeypatch):
    known = {"train": run.task.examples("train"), "validation": []}
    monkeypatch.setattr(type(run.task), "examples", lambda _, split: known[split])
    with pytest.raises(DataError, match="has no questions in 'validation', which such a method"):
        method("rys", run)


def test_candidates_race_on_half_of_the_training_questions_at_most(run):
    n_training = len(run.task.examples("train"))
    assert len(choosing_examples(run)) == min(64, n_training // 2)


@pytest.mark.parametrize("name", ["rys", "early-exit:4", "tale"])
def test_no_method_is_judged_on_questions_that_it_was_chosen_by(name, run):
    config = EvaluateConfig(policies=(name,), split="validation", limit=4)
    with pytest.raises(ConfigError, match=f"{name} would be judged on the 'validation' questions"):
        evaluate(run, config)


def test_the_temperature_with_most_right_answers_is_taken_the_lowest_of_equals():
    assert best_temperature({"0.3": 4, "0.7": 5, "1.0": 5}) == 0.7
    stack, task = load("llama"), ParityTask()
    evaluator, examples = Evaluator(stack, task), task.examples("validation", 8)
    right = right_at(evaluator, examples, N_LAYERS, seed=1)
    assert list(map(float, right)) == list(TEMPERATURES)
    assert right == right_at(evaluator, examples, N_LAYERS, seed=1)
    assert all(0 <= count <= 8 for count in right.values())


def test_samples_of_questions_with_choices_are_refused(run):
    with pytest.raises(ConfigError, match="answers are drawn at random, but these questions have"):
        method("sampled", run)


def n_asked_for(name, run):
    """Return how many pairs are answered to make a method where none is known."""
    for trials in run.folder.glob("trials.sqlite*"):
        trials.unlink()
    made = Run.open(run.folder)
    method(name, made)
    return made.n_trials


@pytest.mark.parametrize(
    "name", ["tale", "tale:4", "rys", "blr", "tflt", "mean-iterates", "recursion"]
)
def test_a_method_asks_for_no_more_answers_than_an_estimate_says(name, run):
    most = n_tries(name, run, N_LAYERS)
    assert most / 4 < n_asked_for(name, run) <= most


def test_methods_that_ask_for_nothing_to_be_made_are_estimated_so(run):
    assert {n_tries(name, run, N_LAYERS) for name in ("identity", "shortgpt:5", "drllm")} == {0}
