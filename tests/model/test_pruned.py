"""Whole layers left out: what is measured, and the facts that are published about it."""

import math
import shutil
from functools import cache

import planted
import pytest
import torch
from families import N_LAYERS, build, load, tokenizer, tolerance
from parity import ParityTask

import skiploop
from skiploop.engine.sampling import Sampling
from skiploop.engine.windows import losses, states_after
from skiploop.errors import BatchError, ConfigError, DataError
from skiploop.policies.block_influence import (
    angular_distance,
    block_influence,
    least_influential,
    least_turning,
)
from skiploop.policies.dropping import n_to_drop, without
from skiploop.policies.sleb import removal_order
from skiploop.policies.tale import most_right, shortenings
from skiploop.policies.text_windows import solved, windows
from skiploop.programs.program import Program
from skiploop.runs.methods import pruned
from skiploop.runs.methods.make import make_methods
from skiploop.runs.session import Run
from skiploop.tasks.base import Grade
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

FAMILIES = ["llama", "qwen3", "qwen2_moe", "gemma2", "olmo2", "gpt2", "gpt_neox", "lfm2"]
every_family = pytest.mark.parametrize("family", FAMILIES)
IDLE = 3
"""The layer that is the identity in some models."""


@cache
def with_an_idle_layer(family):
    """Return a model one of whose layers adds nothing to the states."""
    model = build(family)
    layer = skiploop.load(model, tokenizer=tokenizer(), verify=False).layers[IDLE]
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if "norm" not in name and "ln_" not in name:
                weight.zero_()
    return skiploop.load(model, tokenizer=tokenizer(), verify=False)


def own_text(stack):
    """Return what the model itself draws: on average no other model finds it likelier."""
    drawn = stack.generate(
        ["to be "] * 6,
        Program.identity(stack.n_layers),
        max_new_tokens=100,
        sampling=Sampling(),
        seeds=range(1, 7),
    )
    return [one.token_ids for one in drawn]


class AsPlain(ParityTask):
    """Answers are right if the plain model gives them."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def grade(self, example, text):
        plain, prompt = Program.identity(self.stack.n_layers), [self.prompt(example)]
        (one,) = self.stack.generate(prompt, plain, max_new_tokens=4, stop=self.stop)
        return Grade(text == one.text, answer=text)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "falcon_h1"])
def test_states_are_the_outputs_of_the_layers_before_the_final_norm(family):
    stack, outputs = load(family), []
    hooks = [
        layer.register_forward_hook(lambda _m, _a, out: outputs.append(out))
        for layer in stack.layers
    ]
    tokens = [5, 9, 33, 20, 8, 41]
    with torch.no_grad():
        given = stack.model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    for hook in hooks:
        hook.remove()
    expected = [out[0] if isinstance(out, tuple) else out for out in outputs]
    found = states_after(stack, tokens, range(N_LAYERS + 1))
    torch.testing.assert_close(found[0], given[0][0], rtol=0, atol=tolerance(family))
    for depth, states in enumerate(expected, start=1):
        torch.testing.assert_close(
            found[depth], states.reshape(found[depth].shape), rtol=0, atol=tolerance(family)
        )
    assert not torch.allclose(found[-1], given[-1][0], atol=1e-2)  # that one is normed


@every_family
def test_losses_are_those_of_views(family):
    stack = load(family)
    programs = [Program.parse(text, N_LAYERS) for text in ("identity", "1:3x0", "2:4x2")]
    tokens = [5, 9, 33, 20, 8, 41, 17]
    asked = torch.tensor([tokens])
    with torch.no_grad():
        expected = [float(stack.view(p)(asked, labels=asked).loss) for p in programs]
    assert losses(stack, tokens, programs) == pytest.approx(expected, abs=1e-3)


@every_family
def test_a_layer_that_is_the_identity_has_no_influence_and_goes_first(family):
    stack = with_an_idle_layer(family)
    text = own_text(stack)
    influence = block_influence(stack, text)
    assert influence[IDLE] == pytest.approx(0, abs=1e-5)
    assert least_influential(influence, 1) == [IDLE]
    assert str(least_turning(angular_distance(stack, text, 1), 1)) == f"{IDLE}:{IDLE + 1}x0"
    assert removal_order(stack, text, 1) == [IDLE]


def test_a_layer_that_is_the_identity_goes_first_by_right_answers(tmp_path):
    stack = with_an_idle_layer("llama")
    runner = TrialRunner(stack, AsPlain(stack), TrialStore(tmp_path / "trials.sqlite"))
    examples = runner.task.examples("train", 12)
    plain, first, *_ = shortenings(runner, examples, 2)
    assert plain == (Program.identity(N_LAYERS), 1.0)
    assert first == (without(N_LAYERS, {IDLE}), 1.0)
    assert most_right([plain, first]) == first[0]  # as right, and shorter


def test_right_answers_are_asked_for_until_too_many_are_lost(tmp_path):
    stack = with_an_idle_layer("llama")
    runner = TrialRunner(stack, AsPlain(stack), TrialStore(tmp_path / "trials.sqlite"))
    examples = runner.task.examples("train", 12)
    found = shortenings(runner, examples)
    assert [program.n_slots for program, _ in found] == [
        *range(N_LAYERS, N_LAYERS - len(found), -1)
    ]
    assert all(right >= 1 - 0.08 for _, right in found)
    n_trials = len(runner.store)
    assert shortenings(runner, examples) == found and len(runner.store) == n_trials


def test_influence_is_one_less_the_cosine_of_input_and_output():
    stack, tokens = load("llama"), [5, 9, 33, 20]
    states = states_after(stack, tokens, [2, 3])
    cosine = torch.nn.functional.cosine_similarity(states[0], states[1], dim=-1)
    assert block_influence(stack, [tokens])[2] == pytest.approx(float(1 - cosine.mean()), abs=1e-6)
    angle = math.acos(float(cosine[-1])) / math.pi
    assert angular_distance(stack, [tokens], 1)[2] == pytest.approx(angle, abs=1e-5)


def test_the_angular_distance_of_a_block_is_taken_from_end_to_end():
    stack, tokens = load("llama"), [5, 9, 33, 20]
    distances = angular_distance(stack, [tokens], 4)
    assert len(distances) == 3
    ends = states_after(stack, tokens, [1, 5])[:, -1]
    angle = math.acos(float(torch.nn.functional.cosine_similarity(ends[0], ends[1], dim=0)))
    assert distances[1] == pytest.approx(angle / math.pi, abs=1e-5)
    assert angular_distance(stack, [tokens], N_LAYERS)[0] > 0


def test_sleb_measures_the_model_that_is_left_and_not_the_whole_one_again():
    stack = load("olmo2")
    text = own_text(stack)

    def loss(dropped):
        return sum(losses(stack, tokens, [without(N_LAYERS, dropped)])[0] for tokens in text)

    order = removal_order(stack, text, 4)
    for n_before in range(4):
        left = set(range(N_LAYERS)) - set(order[:n_before])
        assert order[n_before] == min(left, key=lambda i: loss({*order[:n_before], i}))
    at_once = sorted(range(N_LAYERS), key=lambda layer: loss({layer}))
    assert order != at_once[:4]


def test_an_order_goes_on_from_a_known_one():
    stack = load("llama")
    text = own_text(stack)
    order = removal_order(stack, text, 3)
    before = stack.work.n_layer_tokens
    assert removal_order(stack, text, 3, order) == removal_order(stack, text, 3, order[:0])
    assert removal_order(stack, text, 2, order) == order[:2]
    assert removal_order(stack, text, 3, order[:2]) == order
    assert stack.work.n_layer_tokens > before


def test_calibration_text_is_read_once_for_all_layers_and_not_where_the_order_is_known(
    tmp_path, monkeypatch
):
    run = Run.open(shutil.copytree(planted.written_run(), tmp_path / "run"))
    read, text = [], pruned._text
    monkeypatch.setattr(pruned, "_text", lambda *asked: read.append(asked) or text(*asked))
    make_methods(["sleb:3"], run)
    make_methods(["sleb:4"], run)
    assert len(read) == 1


def test_windows_are_as_long_as_asked_and_what_is_left_over_is_not_used():
    stack = load("llama")
    found = windows(stack, iter(["abcd.", "efghijk"]), n_tokens=5, n_windows=4)
    assert [len(one) for one in found] == [5, 5]
    assert stack.tokenizer.decode(found[0] + found[1]) == "abcd.efghi"
    assert len(windows(stack, ["abcdefgh"] * 9, n_tokens=4, n_windows=3)) == 3
    with pytest.raises(DataError, match="has 3 tokens, fewer than one window of 5: give more text"):
        windows(stack, ["abc"], n_tokens=5)
    with pytest.raises(BatchError, match="takes 128 in all"):
        block_influence(stack, [[5] * 200])


def test_solved_prompts_end_with_the_right_answer():
    task = ParityTask()
    assert next(solved(task, task.examples("train"))) == "t0 is  even\n\n"


@pytest.mark.parametrize(("n_passes", "n"), [(6, 0), (40, 0), (5.1, 1), (5, 1), (1, 5), (1.9, 5)])
def test_no_more_layers_are_dropped_than_the_limit_asks_for(n_passes, n):
    assert n_to_drop("shortgpt:5", 6, n_passes) == n


@pytest.mark.parametrize("n_passes", [0, 0.5, -3])
def test_dropping_all_layers_is_refused(n_passes):
    message = "shortgpt:0.5 drops all 30 layers: allow at least 1 layer pass, such as shortgpt:26"
    with pytest.raises(ConfigError, match=message):
        n_to_drop("shortgpt:0.5", 30, n_passes)
