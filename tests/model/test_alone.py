"""One prompt at a time under layers that stand in: with the model's own, its answers."""

import pytest
import torch
from families import N_LAYERS, load
from torch import nn

from skiploop.engine.alone import Sequencer, answer_logprobs, choose_alone, write_alone
from skiploop.engine.batching.encoding import encode_pairs
from skiploop.errors import BatchError, UnsupportedModelError
from skiploop.models.view import shallow_clone
from skiploop.programs.program import Program

PROMPTS = ["12+7=", "a", "hello there, you?", "the end of nine"]
FAMILIES = ["llama", "qwen2_sliding", "qwen3_moe", "gemma2", "gemma3", "gpt2", "gpt_neox", "lfm2"]


def own_layers(stack):
    return lambda _n_prompt: nn.ModuleList(stack.layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_models_own_layers_write_what_the_plain_model_writes(family):
    stack = load(family)
    expected = stack.generate(PROMPTS, Program.identity(N_LAYERS), max_new_tokens=12, stop=["9"])
    for prompt, plain in zip(PROMPTS, expected, strict=True):
        found = write_alone(stack, prompt, own_layers(stack), max_new_tokens=12, stop=["9"])
        assert (found.text, found.token_ids) == (plain.text, plain.token_ids)
        assert found.stopped_by == plain.stopped_by
        assert found.logprob == pytest.approx(plain.logprob, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_they_choose_what_it_chooses(family):
    stack, choices = load(family), [" a", " nine", " 7"]
    expected = stack.choose(PROMPTS, [choices] * len(PROMPTS), Program.identity(N_LAYERS))
    for prompt, plain in zip(PROMPTS, expected, strict=True):
        found = choose_alone(stack, prompt, choices, own_layers(stack))
        assert found.text == plain.text
        assert found.choice_logprobs == pytest.approx(plain.choice_logprobs, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_log_probability_of_answers_of_any_length_is_that_of_the_model_for_each_token(family):
    stack, answers = load(family), ["nine", "7", "th", "and"]
    expected = stack.loglikelihood(PROMPTS, answers, Program.identity(N_LAYERS))
    pairs = encode_pairs(stack, PROMPTS, answers)
    found_B = answer_logprobs(stack, pairs, nn.ModuleList(stack.layers)).detach()
    lengths = torch.tensor([pair.n_continued for pair in pairs])
    assert len({len(pair.whole) for pair in pairs}) > 1
    assert (found_B * lengths).tolist() == pytest.approx(expected, abs=1e-3)


def test_prompts_that_are_too_long_or_empty_are_refused():
    stack = load("llama")
    for prompt in ("", "a" * 130):
        with pytest.raises(BatchError):
            write_alone(stack, prompt, own_layers(stack), max_new_tokens=4, stop=[])


def test_a_model_that_keeps_no_keys_is_refused():
    stack = load("llama")
    stack.way = type(stack.way).RECOMPUTED
    with pytest.raises(UnsupportedModelError, match="keeps no keys"):
        Sequencer(stack, nn.ModuleList(stack.layers))


def test_logits_that_are_not_numbers_end_the_answer():
    stack = load("llama")
    clone = shallow_clone(stack.layers[2])
    clone.register_forward_hook(lambda *_: torch.full((1, 1, 32), torch.nan))
    layers = [*stack.layers[:2], clone, *stack.layers[3:]]
    found = write_alone(stack, "a", lambda _: nn.ModuleList(layers), max_new_tokens=4, stop=[])
    assert found.stopped_by == "nan" and found.text == ""
