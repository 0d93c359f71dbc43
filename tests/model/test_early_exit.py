"""Early exits: what runs, what is said, and how thresholds are found."""

import math
import shutil

import numpy as np
import planted
import pytest
import torch
from families import MIXED_FAMILIES, N_LAYERS, load, tolerance
from parity import ParityTask

from skiploop.engine.windows import logits_after
from skiploop.errors import ConfigError, DataError, UnsupportedModelError
from skiploop.policies.early_exit.calibration import (
    Watched,
    exits_of,
    mean_passes,
    thresholds_at,
    thresholds_within,
    watch,
)
from skiploop.policies.early_exit.executor import ExitRow
from skiploop.policies.early_exit.method import EarlyExit
from skiploop.programs.program import Program
from skiploop.runs.methods import calibrated
from skiploop.runs.methods.make import make_methods
from skiploop.runs.session import Run
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator

REFUSED = ["lfm2", "qwen3_5", "falcon_h1"]
SUPPORTED = [family for family in MIXED_FAMILIES if family not in REFUSED]
EXITS = [1, 3, 4]
NEVER, ALWAYS = [math.inf] * 3, [0.0] * 3


class ChoiceTask(ParityTask):
    """Questions with choices of several lengths, one of them the beginning of another."""

    def examples(self, split, limit=None):
        choices = ("on", "one", "then there", "5")
        return [
            Example(one.id, one.question, "one", choices) for one in super().examples(split, limit)
        ]


def answered(stack, thresholds, task, exits=EXITS):
    method = EarlyExit(stack, exits, thresholds, name="early-exit")
    examples = task.examples("test", 4)
    prompts = [task.prompt(example) for example in examples]
    found = method.answer_with(examples, method.choose(prompts), Evaluator(stack, task))
    return [first for (first,) in found]


def plain(stack, task, program):
    pairs = [(example, program) for example in task.examples("test", 4)]
    return Evaluator(stack, task).answer_pairs(pairs)


@pytest.mark.parametrize("task", [ParityTask(), ChoiceTask()], ids=["written", "picked"])
@pytest.mark.parametrize("family", SUPPORTED)
def test_thresholds_that_nothing_reaches_leave_the_plain_model(family, task):
    stack = load(family)
    found = answered(stack, NEVER, task)
    expected = plain(stack, task, Program.identity(N_LAYERS))
    assert [one.text for one in found] == [trial.text for trial in expected]
    assert [one.correct for one in found] == [trial.correct for trial in expected]
    sure = [math.exp(trial.logprob) for trial in expected]
    assert [one.confidence for one in found] == pytest.approx(sure, abs=1e-3)
    assert {one.cost.n_passes for one in found} == {N_LAYERS}


@pytest.mark.parametrize("task", [ParityTask(), ChoiceTask()], ids=["written", "picked"])
@pytest.mark.parametrize("family", SUPPORTED)
def test_thresholds_that_everything_reaches_run_the_layers_before_the_first_exit_alone(
    family, task
):
    stack = load(family)
    assert stack.calling and stack.kv_size, "found once, by running layers"
    calls = []
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: calls.append(i))
        for i, layer in enumerate(stack.layers)
    ]
    found = answered(stack, ALWAYS, task, exits=[2, 3, 4])
    for hook in hooks:
        hook.remove()
    assert set(calls) == {0, 1} and calls.count(0) == calls.count(1)
    assert {one.cost.n_passes for one in found} == {2}
    truncated = Program.parse(f"2:{N_LAYERS}x0", N_LAYERS)
    assert [one.text for one in found] == [t.text for t in plain(stack, task, truncated)]


@pytest.mark.parametrize("family", SUPPORTED)
def test_a_token_that_goes_deeper_finds_the_plain_states_of_those_that_left_before(family):
    stack, tokens = load(family), [5, 9, 33, 20, 8, 41, 17, 3, 60, 12]
    lens = logits_after(stack, tokens, [*EXITS, N_LAYERS], n_last=len(tokens))
    sure = torch.stack([logits.softmax(-1).max(-1)[0] for logits in lens[:-1]])
    thresholds = sure.sort(1)[0][:, 4:6].mean(1).tolist()
    row, depths = ExitRow(stack, EXITS, thresholds), []
    with torch.inference_mode():
        for start, stop in [(0, 3), *((at, at + 1) for at in range(3, len(tokens)))]:
            logits = row.next_logits(tokens[start:stop])
            reached = [at for at in range(3) if sure[at, stop - 1] >= thresholds[at]] or [3]
            depths.append(reached[0])
            torch.testing.assert_close(
                logits, lens[reached[0]][stop - 1], rtol=0, atol=tolerance(family)
            )
    assert len(set(depths)) > 1
    ends = [start for start, stop in zip([0, *EXITS], [*EXITS, N_LAYERS], strict=True)]
    n_run = [
        max(t for t, d in enumerate(depths, 3) if d >= block) for block in range(max(depths) + 1)
    ]
    widths = np.diff([*ends, N_LAYERS])
    assert row.n_layer_passes == sum(int(w) * n for w, n in zip(widths, n_run, strict=False))


def test_a_fork_goes_on_alone_and_counts_only_what_it_runs():
    stack, tokens = load("llama"), [5, 9, 33, 20]
    with torch.inference_mode():
        row = ExitRow(stack, [2], [math.inf])
        row.next_logits(tokens)
        forks = [row.fork(), row.fork()]
        found = [fork.next_logits([token]) for fork, token in zip(forks, (7, 8), strict=True)]
        again = row.next_logits([8])
    expected = [
        logits_after(stack, [*tokens, token], [N_LAYERS], n_last=1)[0][0] for token in (7, 8)
    ]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(again, expected[1], rtol=0, atol=1e-4)
    assert [fork.n_layer_passes for fork in forks] == [N_LAYERS] * 2
    assert row.n_layer_passes == 5 * N_LAYERS


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_whose_layers_cannot_wait_for_tokens_is_refused(family):
    with pytest.raises(
        UnsupportedModelError, match="early exit is for models whose layers all keep"
    ):
        EarlyExit(load(family), EXITS, NEVER, name="early-exit")


def test_exits_are_at_equal_distances_and_never_after_the_last_layer():
    assert exits_of(30) == [4, 8, 12, 16, 20, 24, 28]
    assert exits_of(6) == [1, 2, 3, 4, 5]
    assert exits_of(1) == []


def test_exits_are_watched_where_the_answer_of_the_plain_model_is_written():
    stack, task = load("llama"), ParityTask()
    examples = task.examples("validation", 3)
    watched = watch(stack, task, examples)
    written = stack.generate(
        [task.prompt(e) for e in examples],
        Program.identity(N_LAYERS),
        max_new_tokens=4,
        stop=task.stop,
    )
    for one, answer, example in zip(watched, written, examples, strict=True):
        prompt = stack.tokenizer(task.prompt(example))["input_ids"]
        assert one.n_prompt == len(prompt)
        assert np.shape(one.confidence_TE) == np.shape(one.agrees_TE) == (len(answer.token_ids), 5)
        whole = [*prompt, *answer.token_ids]
        (lens,) = logits_after(stack, whole[:-1], [3], n_last=len(answer.token_ids))
        assert [row[2] for row in one.agrees_TE] == [
            int(best) == token
            for best, token in zip(lens.argmax(-1), answer.token_ids, strict=True)
        ]
    picked = watch(stack, ChoiceTask(), ChoiceTask().examples("validation", 3))
    assert all(len(one.confidence_TE) >= 1 for one in picked)


def made_up(confidence, agrees):
    return Watched(4, [[c] * 5 for c in confidence], [[a] * 5 for a in agrees])


def test_a_threshold_is_the_lowest_confidence_from_which_on_enough_tokens_agree():
    watched = [made_up([0.9, 0.8, 0.7, 0.6], [True, True, False, True])]
    assert thresholds_at(watched, 1) == [0.8] * 5
    assert thresholds_at(watched, 0.75) == [0.6] * 5
    assert thresholds_at(watched, 0) == [0.6] * 5
    assert thresholds_at([made_up([0.9, 0.8], [False, True])], 1) == [math.inf] * 5


def test_layer_passes_are_those_of_all_tokens_before_the_last_one_that_goes_on():
    one = made_up([0.9, 0.2, 0.9], [True] * 3)
    assert mean_passes([one], [0.5] * 5, N_LAYERS) == (1 * 6 + 5 * 5) / 6
    assert mean_passes([one], [0.0] * 5, N_LAYERS) == 1
    assert mean_passes([one], [math.inf] * 5, N_LAYERS) == N_LAYERS


def test_the_calibrated_passes_are_those_that_run_where_the_answers_stay_the_same():
    stack, task = load("llama"), ParityTask()
    examples = task.examples("test", 4)
    watched = watch(stack, task, examples)
    thresholds = thresholds_at(watched, 1)  # a token that exits agrees, so no answer changes
    found = answered(stack, thresholds, task, exits=exits_of(N_LAYERS))
    assert [one.text for one in found] == [
        trial.text for trial in plain(stack, task, Program.identity(N_LAYERS))
    ]
    expected = mean_passes(watched, thresholds, N_LAYERS)
    assert np.mean([one.cost.n_passes for one in found]) == pytest.approx(expected)


def test_the_most_careful_thresholds_within_a_limit_are_taken_and_a_limit_too_low_is_refused():
    watched = [made_up([0.9, 0.8, 0.7, 0.6], [True, True, False, True])]
    assert thresholds_within("early-exit:6", watched, N_LAYERS, 6) == [math.inf] * 5
    assert thresholds_within("early-exit:5", watched, N_LAYERS, 5) == [0.6] * 5
    with pytest.raises(ConfigError, match=r"early-exit:0.5: no token exits before layer 1 of 6"):
        thresholds_within("early-exit:0.5", watched, N_LAYERS, 0.5)


def test_logits_that_are_no_numbers_are_no_answer():
    stack = load("llama")
    with torch.no_grad():
        stack.layers[4].mlp.down_proj.weight.fill_(math.nan)
    for task in (ParityTask(), ChoiceTask()):
        for one in answered(stack, NEVER, task):
            assert one.correct is None and one.confidence is None


def test_without_any_token_that_was_watched_no_exit_is_taken_for_sure():
    with pytest.raises(DataError, match="the model writes nothing to the validation questions"):
        thresholds_within("early-exit:3", [], N_LAYERS, 3)


def test_an_interrupted_making_goes_on_with_what_the_exits_said_before(tmp_path, monkeypatch):
    run = Run.open(shutil.copytree(planted.written_run(), tmp_path / "run"))
    monkeypatch.setattr(calibrated, "N_WATCHED", 5)
    monkeypatch.setattr(calibrated, "N_TOGETHER", 2)
    (expected,) = make_methods(["early-exit:4"], run)
    (run.folder / "methods" / "early-exit" / "found.json").unlink()
    asked = []

    def interrupted(stack, task, examples):
        asked.append(len(examples))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return watch(stack, task, examples)

    monkeypatch.setattr(calibrated, "watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_methods(["early-exit:4"], run)
    (found,) = make_methods(["early-exit:4"], run)
    assert asked == [2, 2, 2, 1] and found.thresholds == expected.thresholds
    make_methods(["early-exit:5"], run)
    assert len(asked) == 4
