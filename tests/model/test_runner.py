import pytest
import torch
from families import load
from parity import FirstLetterTask, ParityTask

from skiploop import Program
from skiploop.engine.batching.encoding import encode
from skiploop.engine.cache.states import StateCache
from skiploop.trials.evaluator import GRADED_TOGETHER, Evaluator
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore


@pytest.fixture
def runner(tmp_path):
    return TrialRunner(load("llama"), ParityTask(), TrialStore(tmp_path / "trials.sqlite"))


def pairs_of(runner, n_examples, texts):
    programs = [Program.parse(text, runner.stack.n_layers) for text in texts]
    examples = runner.task.examples("train", n_examples)
    return [(example, program) for example in examples for program in programs]


def test_trials_say_what_generate_says_and_what_the_task_grades(runner):
    pairs = pairs_of(runner, 3, ["identity", "1:3x0", "2:4x2"])
    trials = runner.answer_pairs(pairs)
    for (example, program), trial in zip(pairs, trials, strict=True):
        prompt = runner.task.prompt(example)
        (alone,) = runner.stack.generate([prompt], program, max_new_tokens=4, stop=["\n"])
        assert (trial.example_id, trial.program) == (example.id, program)
        assert trial.text == alone.text
        assert trial.n_tokens == len(alone.token_ids)
        assert trial.logprob == pytest.approx(alone.logprob, abs=1e-4)
        assert trial.correct is runner.task.grade(example, alone.text).correct
        assert trial.n_rows in (len(pairs), len(pairs) - 6)
        assert (trial.stopped_by, trial.dtype) == (alone.stopped_by, "float32")


def test_a_known_pair_is_not_run_again(runner):
    pairs = pairs_of(runner, 4, ["identity", "0:1x2"])
    first = runner.answer_pairs(pairs)
    n_graded = runner.task.n_graded
    assert runner.answer_pairs([*pairs, pairs[0], pairs[0]]) == [*first, first[0], first[0]]
    assert runner.task.n_graded == n_graded


def test_what_was_graded_before_a_crash_stays(runner):
    pairs = pairs_of(runner, 20, ["identity", "0:1x2", "1:2x0", "3:4x0"])
    assert len(pairs) > GRADED_TOGETHER
    finished = []

    def crash_after_the_first_call(trials):
        finished.extend(trials)
        raise KeyboardInterrupt

    crashing = TrialRunner(runner.stack, runner.task, runner.store, crash_after_the_first_call)
    with pytest.raises(KeyboardInterrupt):
        crashing.answer_pairs(pairs)
    assert len(runner.store) == len(finished) == GRADED_TOGETHER
    n_graded = runner.task.n_graded
    runner.answer_pairs(pairs)
    assert runner.task.n_graded - n_graded == len(pairs) - GRADED_TOGETHER


@pytest.mark.parametrize("memory", [None, 10**6])
def test_verdicts_on_beginnings_are_those_on_whole_texts(tmp_path, memory):
    stack = load("qwen3")
    judging, running = (
        TrialRunner(stack, FirstLetterTask(), TrialStore(tmp_path / name)) for name in "ab"
    )
    pairs = pairs_of(judging, 8, ["identity", "1:3x0", "2:4x2", "2:4x2 5:6x0", "0:1x2"])
    saved = memory and StateCache(memory)
    judged = [
        trial for i in range(0, 40, 8) for trial in judging.grade_pairs(pairs[i : i + 8], saved)
    ]
    whole = running.answer_pairs(pairs)
    assert [trial.correct for trial in judged] == [trial.correct for trial in whole]
    assert {trial.correct for trial in whole} == {True, False}
    for trial, full in zip(judged, whole, strict=True):
        assert (trial.stopped_by == "decided") == (not trial.correct and trial.text != "")
        assert full.text.startswith(trial.text) and full.stopped_by != "decided"
    # Whole texts are made where they are asked for, and then take the place of beginnings.
    assert judging.answer_pairs(pairs) == judging.grade_pairs(pairs)
    assert [t.text for t in judging.grade_pairs(pairs)] == [trial.text for trial in whole]


def test_logits_that_are_not_numbers_leave_their_trial_ungraded_and_the_run_goes_on(runner):
    with torch.no_grad():
        runner.stack.layers[2].mlp.down_proj.weight.fill_(float("nan"))
    trials = runner.answer_pairs(pairs_of(runner, 2, ["identity", "2:3x0"]))
    assert [trial.correct is None for trial in trials] == [True, False] * 2
    assert trials[0].reason == "the logits were not numbers, first after layer 2, slot 2"
    assert runner.answer_pairs(pairs_of(runner, 2, ["identity", "2:3x0"])) == trials


def test_an_ungraded_answer_is_recorded_as_such(runner):
    runner.task.ungradable = ""  # every text holds it
    (trial,) = runner.answer_pairs(pairs_of(runner, 1, ["identity"]))
    assert trial.correct is None
    assert trial.reason == "ungradable"


def test_the_right_answer_is_scored_where_it_is_asked_for(tmp_path):
    runner = TrialRunner(load("qwen3"), FirstLetterTask(), TrialStore(tmp_path / "trials.sqlite"))
    pairs = pairs_of(runner, 3, ["identity", "2:4x2"])
    assert {trial.gold_logprob for trial in runner.grade_pairs(pairs)} == {None}
    judged = runner.grade_pairs(pairs, score_gold=True)
    prompts = [runner.task.prompt(example) for example, _ in pairs]
    programs = [program for _, program in pairs]
    with_space = runner.stack.loglikelihood(prompts, ["the\n"] * 6, programs)
    space = runner.stack.loglikelihood([p.rstrip() for p in prompts], [" "] * 6, programs)
    expected = [both - first for both, first in zip(with_space, space, strict=True)]
    assert [trial.gold_logprob for trial in judged] == pytest.approx(expected, abs=1e-3)
    assert runner.grade_pairs(pairs) == runner.grade_pairs(pairs, score_gold=True) == judged


def test_a_right_answer_that_cannot_be_scored_is_not_run_again_for_it(tmp_path):
    stack = load("qwen3")
    stack.exact = True  # every row runs alone, from its prompt, without a draft
    runner = TrialRunner(stack, FirstLetterTask(), TrialStore(tmp_path / "trials.sqlite"))
    pairs = pairs_of(runner, 3, ["identity", "2:4x2"])
    judged = runner.grade_pairs(pairs, score_gold=True)
    assert {trial.gold_logprob for trial in judged} == {None}
    products = stack.work.n_layer_tokens
    assert runner.grade_pairs(pairs, score_gold=True) == judged
    assert stack.work.n_layer_tokens == products > 0


def test_an_evaluator_gives_the_same_trials_in_parts_as_they_end_and_remembers_none(runner):
    evaluator = Evaluator(runner.stack, ParityTask())
    pairs = pairs_of(runner, 20, ["identity", "0:1x2", "1:2x0", "3:4x0"])
    parts = list(evaluator.stream_answers(pairs))
    assert [len(part) for part in parts] == [GRADED_TOGETHER, len(pairs) - GRADED_TOGETHER]
    by_pair = {(t.example_id, t.program): t for part in parts for t in part}
    assert runner.answer_pairs(pairs) == [by_pair[e.id, program] for e, program in pairs]
    two = [pairs[0], pairs[0]]
    assert evaluator.answer_pairs(two)[0].text == by_pair[pairs[0][0].id, pairs[0][1]].text
    assert evaluator.task.n_graded == len(pairs) + 1
    assert list(evaluator.stream_grades([])) == []


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3", "gpt2", "falcon_h1"])
def test_key_value_bytes_are_those_that_the_view_holds_after_the_answer(family):
    evaluator = Evaluator(load(family), ParityTask())
    (example,) = evaluator.task.examples("train", 1)
    for text in ("identity", "1:3x0", "2:4x2"):
        program = Program.parse(text, evaluator.stack.n_layers)
        tokens = torch.tensor(encode(evaluator.stack, [evaluator.prompt(example)]))
        cache = (
            evaluator.stack.view(program)
            .generate(tokens, min_new_tokens=4, max_new_tokens=4, return_dict_in_generate=True)
            .past_key_values
        )
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert evaluator.kv_bytes(example, program, 4) == held > 0


def test_key_value_bytes_of_layers_that_keep_something_else_are_not_known():
    evaluator = Evaluator(load("lfm2"), ParityTask())
    (example,) = evaluator.task.examples("train", 1)
    assert evaluator.kv_bytes(example, Program.identity(evaluator.stack.n_layers), 4) is None
