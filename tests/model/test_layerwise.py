"""Programs chosen layer by layer while prompts run: the answers of programs known before."""

import pytest
import torch
from families import FAMILIES, N_LAYERS, load

from skiploop.engine.decoding.layerwise_choice import LayerwiseChoice
from skiploop.errors import BatchError, ConfigError, ProgramError
from skiploop.programs.program import Program

TEXTS = ("identity", "2:3x2", "3:5x0", "0:1x0 4:5x2 5:6x2", "0:1x2 1:2x2")
PROGRAMS = [Program.parse(text, N_LAYERS) for text in TEXTS]
PROMPTS = ["12+7=", "a", "a", "hello there, you?", "nine", "34+5="]
CHOSEN = [PROGRAMS[number % len(PROGRAMS)] for number in range(len(PROMPTS))]
LONGEST = Program.parse(" ".join(f"{i}:{i + 1}x2" for i in range(N_LAYERS)), N_LAYERS)


def by_number(layer, numbers, states):
    assert len(numbers) == len(states)
    return [CHOSEN[number].path.count(layer) for number in numbers]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_choice_layer_by_layer_writes_what_the_chosen_programs_write(family):
    stack = load(family)
    expected = stack.generate(PROMPTS, CHOSEN, max_new_tokens=5)
    found = stack.generate(PROMPTS, LayerwiseChoice(by_number, LONGEST), max_new_tokens=5)
    assert [c.program for c in found] == CHOSEN
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
    logprobs = [c.logprob for c in expected]
    assert [c.logprob for c in found] == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen2_sliding", "lfm2"])
def test_every_layer_is_decided_on_by_what_it_is_given(family):
    stack, seen = load(family), {}

    def note(layer, numbers, states):
        seen.update({(layer, n): s for n, s in zip(numbers, states, strict=True)})
        return [1] * len(numbers)

    stack.generate(PROMPTS, LayerwiseChoice(note), max_new_tokens=1)
    for layer in range(N_LAYERS):
        for number, states_TD in enumerate(stack.hidden_states(PROMPTS, layer)):
            torch.testing.assert_close(seen[layer, number], states_TD, atol=1e-4, rtol=1e-4)


def test_no_layer_runs_more_than_it_is_chosen_to():
    stack = load("llama")
    stack.generate(PROMPTS, CHOSEN, max_new_tokens=1)  # probes run once
    before = stack.work.n_sequences
    stack.generate(PROMPTS, LayerwiseChoice(by_number, LONGEST), max_new_tokens=1)
    distinct = {(prompt, program) for prompt, program in zip(PROMPTS, CHOSEN, strict=True)}
    assert stack.work.n_sequences - before <= sum(program.n_slots for _, program in distinct)


@pytest.mark.parametrize("found", [[1], [-1] * 6, "many", [0.5] * 6, None])
def test_what_is_no_number_of_runs_for_each_prompt_is_refused(found):
    with pytest.raises(BatchError, match="layer 0"):
        load("llama").generate(PROMPTS, LayerwiseChoice(lambda *_: found), max_new_tokens=1)


def test_skipping_all_layers_is_refused():
    with pytest.raises(ProgramError):
        nothing = LayerwiseChoice(lambda _layer, numbers, _states: [0] * len(numbers))
        load("llama").generate(PROMPTS, nothing, max_new_tokens=1)


def test_what_is_no_function_decides_nothing():
    with pytest.raises(ConfigError, match="decide is 3"):
        LayerwiseChoice(3)
