"""FlexiDepth: open gates are the plain model, and tokens that skip a layer compute keys alone."""

import pytest
import torch
from families import N_LAYERS, load
from torch import nn

from skiploop.engine.alone import Sequencer, write_alone
from skiploop.engine.batching.encoding import encode
from skiploop.errors import ConfigError, RunError, UnsupportedModelError
from skiploop.policies.alone import mean_passes
from skiploop.policies.flexidepth.attention import PartialAttention
from skiploop.policies.flexidepth.layers import LearningLayer, check_family
from skiploop.policies.flexidepth.method import FlexiDepth
from skiploop.policies.flexidepth.network import Skippers
from skiploop.policies.flexidepth.train import train_skippers
from skiploop.policies.router_tuning import Lesson, TuningConfig
from skiploop.programs.program import Program

PROMPTS = ["12+7=", "a", "hello there, you?", "the end of nine"]
FAMILIES = ["llama", "qwen2", "qwen2_sliding", "qwen3", "mistral", "smollm3"]
HALF = range(N_LAYERS // 2, N_LAYERS)


class Always(nn.Module):
    """A router that says the same of every token."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, states_BTE):
        return torch.full(states_BTE.shape[:2], self.gate)


class Alternating(nn.Module):
    """A router that lets tokens run whose first number is above its median, by their own gates."""

    def forward(self, states_BTE):
        return (states_BTE[..., 0] * 3).sigmoid()


def with_routers(stack, router):
    skippers = Skippers.of_second_half(stack)
    return Skippers(dict.fromkeys(HALF, router), skippers.adapters)


def written(stack, method, prompt):
    def layers(_n_prompt):
        return method.way().layers

    return write_alone(stack, prompt, layers, max_new_tokens=8, stop=[])


def referred(stack, skippers, tokens):
    """Return logits_TV of all tokens at once, by the formula of the paper with masks."""
    layers = list(stack.layers)
    for index, router in skippers.routers.items():
        layers[index] = LearningLayer(layers[index], router, skippers.adapters[index])
    sequence = Sequencer(stack, nn.ModuleList(layers))
    return sequence.logits(tokens, len(tokens))


@pytest.mark.parametrize("family", FAMILIES)
def test_open_gates_are_the_plain_model(family):
    stack = load(family)
    method = FlexiDepth(stack, with_routers(stack, Always(1.0)))
    expected = stack.generate(PROMPTS, Program.identity(N_LAYERS), max_new_tokens=8)
    for prompt, plain in zip(PROMPTS, expected, strict=True):
        found = written(stack, method, prompt)
        assert found.token_ids == plain.token_ids
        assert found.logprob == pytest.approx(plain.logprob, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("router", [Alternating(), Always(0.2), Always(0.9)])
def test_what_is_left_out_changes_nothing_of_what_is_not(family, router):
    stack = load(family)
    skippers = with_routers(stack, router)
    (tokens,) = encode(stack, ["hello there, you? the end of nine"])
    with torch.inference_mode():
        expected = referred(stack, skippers, tokens)
        way = FlexiDepth(stack, skippers).way()
        sequence = Sequencer(stack, way.layers)
        parts = [sequence.logits(tokens[:12], 12)]
        parts += [sequence.logits([token], 1) for token in tokens[12:]]
    torch.testing.assert_close(torch.cat(parts), expected, atol=1e-3, rtol=1e-3)
    if isinstance(router, Alternating):
        assert all(0 < layer.n_run < layer.n_tokens == len(tokens) for layer in way.skipping)


def test_a_skipped_layer_equals_the_formula_written_by_hand():
    stack = load("llama")
    skippers = with_routers(stack, Always(0.2))
    model, (tokens,) = stack.model.model, encode(stack, ["hello there, you?"])
    with torch.inference_mode():
        states = model.embed_tokens(torch.tensor([tokens]))
        turns = model.rotary_emb(states, position_ids=torch.arange(len(tokens))[None])
        for index, layer in enumerate(model.layers):
            if index not in HALF:
                normed = layer.input_layernorm(states)
                states = states + layer.self_attn(normed, position_embeddings=turns)[0]
                states = states + layer.mlp(layer.post_attention_layernorm(states))
                continue
            normed, adapter = layer.post_attention_layernorm(states), skippers.adapters[index]
            inner = nn.functional.silu(adapter.gate_proj(normed)) * adapter.down_proj(normed)
            states = states + 0.8 * adapter.up_proj(inner)
        expected = stack.model.lm_head(model.norm(states))[0]
        way = FlexiDepth(stack, skippers).way()
        found = Sequencer(stack, way.layers).logits(tokens, len(tokens))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_tokens_that_skip_a_layer_compute_its_keys_and_values_and_nothing_else():
    stack, met = load("llama"), {}
    names = [f"self_attn.{m}_proj" for m in "qkvo"] + ["mlp"]
    skippers = with_routers(stack, Alternating())
    method = FlexiDepth(stack, skippers)
    for index, layer in enumerate(stack.layers):
        for name in names:
            layer.get_submodule(name).register_forward_hook(
                lambda _m, given, _out, key=(index, name): met.setdefault(key, []).append(
                    given[0].shape[1]
                )
            )
    (tokens,) = encode(stack, ["hello there, you? the end of nine"])
    way = method.way()
    with torch.inference_mode():
        Sequencer(stack, way.layers).logits(tokens, 1)
    for index, layer in zip(HALF, way.skipping, strict=True):
        for name in names:
            is_kept = name in ("self_attn.k_proj", "self_attn.v_proj")
            assert met[index, name] == [len(tokens) if is_kept else layer.n_run]
    assert all(met[index, name] == [len(tokens)] for index in range(HALF.start) for name in names)


def test_attention_of_some_tokens_is_that_of_all_at_their_places():
    stack = load("qwen3")
    layer, (tokens,) = stack.layers[1], encode(stack, ["hello there"])
    states_BTE = torch.randn(1, len(tokens), 32)
    turns = stack.model.model.rotary_emb(states_BTE, torch.arange(len(tokens))[None])
    arguments = {
        "past_key_values": None,
        "attention_mask": None,
        "position_ids": torch.arange(len(tokens))[None],
        "position_embeddings": turns,
    }
    with torch.inference_mode():
        expected = layer.self_attn(hidden_states=states_BTE, **arguments)[0][0]
        for pattern in ([0, 1] * 8, [1] * 16, [0] * 16, [0] * 15 + [1]):
            runs_T = torch.tensor(pattern[: len(tokens)], dtype=torch.bool)
            found = PartialAttention(layer.self_attn)(states_BTE, runs_T, arguments)
            torch.testing.assert_close(found, expected[runs_T], atol=1e-5, rtol=1e-5)


def test_layer_passes_count_what_tokens_meet():
    stack = load("llama")
    way = FlexiDepth(stack, with_routers(stack, Always(1.0))).way()
    (tokens,) = encode(stack, ["hello"])
    with torch.inference_mode():
        Sequencer(stack, way.layers).logits(tokens, 1)
    assert way.n_passes() == N_LAYERS and list(way.with_slots()) == list(range(N_LAYERS))
    skippers = Skippers.of_second_half(stack)
    method = FlexiDepth(stack, skippers)
    method.threshold = 1.0
    way = method.way()
    with torch.inference_mode():
        Sequencer(stack, way.layers).logits(tokens, 1)
    layer, router = stack.layers[0], skippers.routers[HALF.start]
    sizes = [
        sum(w.numel() for w in module.parameters() if w.ndim > 1)
        for module in (layer.self_attn.k_proj, layer.self_attn.v_proj, router,
                       skippers.adapters[HALF.start], layer)
    ]  # fmt: skip
    share = sum(sizes[:-1]) / sizes[-1]
    assert way.n_passes() == pytest.approx(N_LAYERS - len(HALF) * (1 - share))


def released(stack):
    """Return weights with the names and the kinds of the released ones, the model's among them."""
    config = stack.model.config
    wide, narrow, inner = config.hidden_size, 4, 6
    shapes = {
        "router.router_enc": (narrow, wide),
        "router.router_norm": (narrow,),
        "router.router_dec": (wide, narrow),
        "router.router_head": (1, wide),
        "router_proj.gate_proj": (inner, wide),
        "router_proj.down_proj": (inner, wide),
        "router_proj.up_proj": (wide, inner),
    }
    weights = {
        f"model.layers.{layer}.{name}.weight": torch.randn(shape).to(torch.bfloat16)
        for layer in HALF
        for name, shape in shapes.items()
    }
    return {**stack.model.state_dict(), **weights}


def test_released_weights_load_by_name():
    stack = load("llama")
    weights = released(stack)
    skippers = Skippers.from_weights(stack, weights, "here")
    assert list(skippers.routers) == list(HALF)
    for name, weight in skippers.weights().items():
        torch.testing.assert_close(weight, weights[name].float())
    FlexiDepth(stack, skippers)


def test_the_router_norms_before_its_tanh_and_the_adapter_gates_by_silu():
    stack = load("llama")
    skippers = Skippers.from_weights(stack, released(stack), "here")
    router, adapter = skippers.routers[HALF.start], skippers.adapters[HALF.start]
    states = torch.randn(1, 5, 32)
    narrow = states @ router.router_enc.weight.T
    eps = stack.model.config.rms_norm_eps
    narrow = narrow * (narrow.square().mean(-1, keepdim=True) + eps).rsqrt()
    narrow = torch.tanh(narrow * router.router_norm.weight)
    logits = narrow @ router.router_dec.weight.T @ router.router_head.weight.T
    torch.testing.assert_close(router(states), logits[..., 0].sigmoid())
    inner = nn.functional.silu(states @ adapter.gate_proj.weight.T)
    inner = inner * (states @ adapter.down_proj.weight.T)
    torch.testing.assert_close(adapter(states), inner @ adapter.up_proj.weight.T)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {n: t for n, t in w.items() if "router_dec" not in n},
            "router_dec.* is missing",
        ),
        (lambda w: {n: t for n, t in w.items() if "router_enc" not in n}, "is missing"),
        (lambda w: {n: t[..., :1] if "up_proj" in n else t for n, t in w.items()}, "of shape"),
        (lambda w: {n: t for n, t in w.items() if ".router" not in n}, r"layers \[\]"),
        (lambda w: {n.replace("layers.5", "layers.31"): t for n, t in w.items()}, "31"),
    ],
)
def test_weights_that_are_none_of_this_model_are_refused(change, message):
    stack = load("llama")
    with pytest.raises(RunError, match=message):
        Skippers.from_weights(stack, change(released(stack)), "here")


@pytest.mark.parametrize("family", ["gemma2", "phi3", "olmo2", "gpt2", "gpt_neox", "granite"])
def test_a_family_with_other_layers_is_refused(family):
    with pytest.raises(UnsupportedModelError, match="tokens cannot skip"):
        check_family(load(family))


LESSONS = [Lesson(f"{i % 10}{i % 7}=", "th") for i in range(16)]


def passes(stack, skippers):
    """Return the layer passes of prompts that were learned from."""
    method = FlexiDepth(stack, skippers)
    return mean_passes(stack, [lesson.prompt for lesson in LESSONS[:5]], lambda _: method.way())


def test_training_starts_open_and_skips_under_pressure():
    stack = load("llama")
    before = {name: weight.clone() for name, weight in stack.model.state_dict().items()}
    gentle = TuningConfig(batch_size=8, learning_rate=1e-6, pressure=0.0)
    strong = TuningConfig(batch_size=4, learning_rate=2e-2, pressure=10.0, epochs=4)
    assert passes(stack, train_skippers(stack, LESSONS, gentle)) == N_LAYERS
    assert passes(stack, train_skippers(stack, LESSONS, strong)) < N_LAYERS - 0.5
    assert all(torch.equal(before[name], w) for name, w in stack.model.state_dict().items())
    assert all(weight.grad is None for weight in stack.model.parameters())


def test_the_same_training_gives_the_same_weights():
    stack, config = load("llama"), TuningConfig(batch_size=8, learning_rate=1e-3)
    one, same = (train_skippers(stack, LESSONS, config).weights() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_a_threshold_keeps_to_the_layer_passes_that_are_allowed():
    stack = load("llama")
    method = FlexiDepth(stack, with_routers(stack, Alternating()))
    least = method.way().least_passes
    for most in (N_LAYERS, N_LAYERS - 0.7, least):
        method.within(most, PROMPTS)
        assert least <= mean_passes(stack, PROMPTS, lambda _: method.way()) <= most
    with pytest.raises(ConfigError, match="all is skipped that can be"):
        method.within(least - 0.1, PROMPTS)
