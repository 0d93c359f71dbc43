"""MindSkip: attention that is skipped is not computed, and the rest is the plain model."""

import pytest
import torch
from families import N_LAYERS, load

from skiploop.engine.alone import Sequencer, write_alone
from skiploop.engine.batching.encoding import encode
from skiploop.errors import ConfigError, UnsupportedModelError
from skiploop.policies.alone import mean_passes
from skiploop.policies.mindskip.gates import Attentions, Gates
from skiploop.policies.mindskip.method import MindSkip
from skiploop.policies.mindskip.train import train_gates
from skiploop.policies.router_tuning import Lesson, TuningConfig
from skiploop.programs.program import Program

PROMPTS = ["12+7=", "a", "hello there, you?", "the end of nine"]
FAMILIES = ["llama", "qwen2_sliding", "qwen3", "qwen3_moe", "mistral", "gemma2", "gemma3", "phi3"]
FAMILIES += ["olmo2", "gpt_neox", "gpt2", "smollm3", "granite"]
ATTENTION = {"gpt2": "attn", "gpt_neox": "attention"}


class Fixed(Gates):
    """Closes the gates of some layers."""

    def __init__(self, attentions, closed):
        super().__init__(attentions.layers, 32)
        self.closed = closed

    def score(self, layer, states_TE):
        return torch.tensor(0.0 if layer in self.closed else 1.0)


def skipping(stack, *closed):
    attentions = Attentions(stack)
    return MindSkip(stack, attentions, Fixed(attentions, closed))


def written(stack, method, prompt):
    def layers(n_prompt):
        return method.way(n_prompt).layers

    return write_alone(stack, prompt, layers, max_new_tokens=8, stop=[])


def referred(stack, family, closed, prompt):
    """Return greedy tokens without a cache where hooks make attentions zero."""
    name = ATTENTION.get(family, "self_attn")
    hooks = [
        stack.layers[layer]
        .get_submodule(name)
        .register_forward_hook(lambda _m, _in, out: (torch.zeros_like(out[0]), *out[1:]))
        for layer in closed
    ]
    tokens, n_prompt = list(encode(stack, [prompt])[0]), len(encode(stack, [prompt])[0])
    for _ in range(8):
        with torch.inference_mode():
            logits = stack.model(input_ids=torch.tensor([tokens]), use_cache=False).logits
        tokens.append(int(logits[0, -1].argmax()))
    for hook in hooks:
        hook.remove()
    return tuple(tokens[n_prompt:])


@pytest.mark.parametrize("family", FAMILIES)
def test_with_all_attention_it_is_the_plain_model(family):
    stack = load(family)
    attentions = Attentions(stack)
    method = MindSkip(stack, attentions, Gates(attentions.layers, 32))
    expected = stack.generate(PROMPTS, Program.identity(N_LAYERS), max_new_tokens=8)
    for prompt, plain in zip(PROMPTS, expected, strict=True):
        found = written(stack, method, prompt)
        assert found.token_ids == plain.token_ids
        assert found.logprob == pytest.approx(plain.logprob, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("closed", [(2,), (2, 3, 4)])
def test_without_some_attention_it_is_the_model_in_which_that_adds_nothing(family, closed):
    stack = load(family)
    for prompt in PROMPTS:
        found = written(stack, skipping(stack, *closed), prompt)
        assert found.token_ids == referred(stack, family, closed, prompt)


def test_without_the_attention_of_a_layer_it_equals_a_forward_pass_written_by_hand():
    stack = load("llama")
    model, (tokens,) = stack.model.model, encode(stack, ["hello there, you?"])
    with torch.inference_mode():
        states = model.embed_tokens(torch.tensor([tokens]))
        places = torch.arange(len(tokens))[None]
        turns = model.rotary_emb(states, position_ids=places)
        for index, layer in enumerate(model.layers):
            if index != 3:
                normed = layer.input_layernorm(states)
                states = states + layer.self_attn(normed, position_embeddings=turns)[0]
            states = states + layer.mlp(layer.post_attention_layernorm(states))
        expected = stack.model.lm_head(model.norm(states))[0]
        way = skipping(stack, 3).way(len(tokens))
        found = Sequencer(stack, way.layers).logits(tokens, len(tokens))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_skipped_attention_multiplies_nothing_and_keeps_nothing():
    stack, called = load("llama"), []
    for index, layer in enumerate(stack.layers):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            layer.self_attn.get_submodule(name).register_forward_hook(
                lambda *_, index=index, name=name: called.append((index, name))
            )
    (tokens,) = encode(stack, ["hello"])
    way = skipping(stack, 2, 4).way(len(tokens))
    called.clear()  # the family was tried first
    sequence = Sequencer(stack, way.layers)
    with torch.inference_mode():
        sequence.logits(tokens, 1)
        sequence.logits([5], 1)
    assert {index for index, _ in called} == {0, 1, 3, 5}
    assert len(called) == 2 * 4 * 4  # passes, maps, layers
    assert way.with_slots() == [0, 1, 3, 5]
    held = [slot.get_seq_length() for slot in sequence.cache.slots]
    assert held == [len(tokens) + 1 if i in (0, 1, 3, 5) else 0 for i in range(N_LAYERS)]
    share = sum(stack.layers[0].self_attn.get_submodule(n).weight.numel() for n in
                ("q_proj", "k_proj", "v_proj", "o_proj"))  # fmt: skip
    whole = sum(w.numel() for w in stack.layers[0].parameters() if w.ndim > 1)
    assert way.n_passes() == pytest.approx(N_LAYERS - 2 * share / whole)


def test_a_gate_is_decided_once_by_the_mean_of_what_attention_is_given_of_the_prompt():
    stack, seen = load("llama"), []
    attentions = Attentions(stack)

    class Noting(Gates):
        def score(self, layer, states_TE):
            seen.append((layer, states_TE.clone()))
            return super().score(layer, states_TE)

    gates = Noting(attentions.layers, 32)
    (tokens,) = encode(stack, ["hello"])
    way = MindSkip(stack, attentions, gates).way(len(tokens) - 2)
    sequence = Sequencer(stack, way.layers)
    with torch.inference_mode():
        sequence.logits(tokens, 1)
        sequence.logits([5], 1)
    assert [layer for layer, _ in seen] == list(attentions.layers)
    (before,) = stack.hidden_states(["hello"], attentions.layers[0])
    expected = stack.layers[attentions.layers[0]].input_layernorm(before)[:-2]
    torch.testing.assert_close(seen[0][1], expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        gates.weight_AE.normal_()
    score = gates.score(attentions.layers[1], seen[1][1])
    expected = torch.sigmoid(gates.weight_AE[1] @ seen[1][1].mean(0))
    torch.testing.assert_close(score, expected)


LESSONS = [Lesson(f"{i % 10}{i % 7}=", "th") for i in range(24)]
FAST = TuningConfig(batch_size=4, learning_rate=1e-2, epochs=2)


def passes(stack, method):
    return mean_passes(stack, PROMPTS, method.way)


def test_gates_close_under_pressure_and_the_model_stays_as_it_was():
    stack = load("llama")
    before = {name: weight.clone() for name, weight in stack.model.state_dict().items()}
    attentions = Attentions(stack)
    closed = train_gates(stack, attentions, LESSONS, 0.0, FAST)
    assert passes(stack, MindSkip(stack, attentions, closed)) < N_LAYERS
    assert all(torch.equal(before[name], w) for name, w in stack.model.state_dict().items())
    assert all(weight.grad is None for weight in stack.model.parameters())


def test_the_same_training_gives_the_same_gates():
    stack = load("llama")
    one, same = (train_gates(stack, Attentions(stack), LESSONS, 0.5, FAST) for _ in range(2))
    assert torch.equal(one.weight_AE, same.weight_AE)


def test_a_threshold_keeps_to_the_layer_passes_that_are_allowed():
    stack = load("llama")
    attentions = Attentions(stack)
    gates = Gates(attentions.layers, 32)
    with torch.no_grad():
        gates.weight_AE.normal_(generator=torch.Generator().manual_seed(1))
    for most in (N_LAYERS, N_LAYERS - attentions.share, N_LAYERS - 2.5 * attentions.share):
        method = MindSkip(stack, attentions, gates)
        method.within(most, PROMPTS)
        assert passes(stack, method) <= most


def test_fewer_layer_passes_than_skipping_all_attention_leaves_are_refused():
    method = skipping(load("llama"))
    with pytest.raises(ConfigError, match=r"all is skipped that can be, .* allow more"):
        method.within(4, PROMPTS)


@pytest.mark.parametrize("family", ["lfm2", "qwen3_5", "falcon_h1"])
def test_a_family_with_other_layers_is_refused(family):
    with pytest.raises(UnsupportedModelError, match="no attention of its own"):
        Attentions(load(family))


def test_the_last_layer_keeps_its_attention_and_half_of_the_model_may_lose_it():
    assert list(Attentions(load("llama")).layers) == [2, 3, 4]
