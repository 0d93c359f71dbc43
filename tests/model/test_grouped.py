"""Attention over shared keys and values: the outputs of `sdpa`, and a model that stays as it is."""

import copy

import pytest
import torch
from families import load
from torch import nn
from transformers import MoshiConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaAttention

from skiploop.engine.forward import gqa as grouped_module
from skiploop.engine.forward.gqa import GROUPED, grouped, grouped_attention

N_ROWS, N_HEADS, N_TOKENS, N_KEYS, SIZE = 3, 6, 5, 9, 8


def inputs(n_groups):
    generator = torch.Generator().manual_seed(0)
    module = nn.Module()
    module.num_key_value_groups = N_HEADS // n_groups
    query = torch.randn(N_ROWS, N_TOKENS, N_HEADS, SIZE, generator=generator).transpose(1, 2)
    key, value = torch.randn(2, N_ROWS, n_groups, N_KEYS, SIZE, generator=generator)
    return module, query, key, value


def masks():
    start = N_KEYS - N_TOKENS
    causal = torch.ones(N_TOKENS, N_KEYS, dtype=torch.bool).tril(start)
    by_row = causal.expand(N_ROWS, 1, -1, -1).clone()
    by_row[0, :, :, :2] = False  # padding
    return {
        "none": None,
        "shared by rows": causal[None, None],
        "by row": by_row,
        "added": torch.where(by_row, 0.0, torch.finfo(torch.float32).min),
        "by head": by_row.repeat(1, N_HEADS, 1, 1),
        "the same for all tokens": by_row[:, :, -1:],
    }


@pytest.mark.parametrize("n_groups", [1, 2, 3, 6])
@pytest.mark.parametrize("mask", masks())
def test_grouped_attention_is_that_of_sdpa(n_groups, mask):
    arguments = *inputs(n_groups), masks()[mask]
    found, _ = grouped_attention(*arguments, scaling=0.3)
    expected, _ = sdpa_attention_forward(*arguments, scaling=0.3)
    assert found.shape == (N_ROWS, N_TOKENS, N_HEADS, SIZE)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_one_new_token_is_the_same_too():
    module, query, key, value = inputs(2)
    mask = masks()["by row"][:, :, -1:]
    found, _ = grouped_attention(module, query[:, :, -1:], key, value, mask)
    expected, _ = sdpa_attention_forward(module, query[:, :, -1:], key, value, mask)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_many_new_tokens_are_left_to_sdpa(monkeypatch):
    module, query, key, value = inputs(2)
    longer = query.repeat(1, 1, 5, 1)  # 3 copies of 25 tokens of mask, 4 of 2 x 8 numbers
    mask = masks()["by row"].repeat(1, 1, 5, 1)
    monkeypatch.setattr(grouped_module, "scaled_dot_product_attention", None)
    found, _ = grouped_attention(module, longer, key, value, mask)
    expected, _ = sdpa_attention_forward(module, longer, key, value, mask)
    assert torch.equal(found, expected)


def test_attention_that_asks_for_the_name_of_its_implementation_stays_as_it_is():
    class Sparse(LlamaAttention):
        def forward(self, hidden_states, *args, **kwargs):
            if self.config._attn_implementation in ("eager", "sdpa"):
                hidden_states = 2 * hidden_states
            name = self.config._attn_implementation
            return ALL_ATTENTION_FUNCTIONS[name](hidden_states, *args, **kwargs)

    layer = copy.deepcopy(load("llama").layers[0])
    assert grouped([layer])[0] is not layer
    layer.self_attn.__class__ = Sparse
    assert grouped([layer])[0] is layer


def test_only_the_clones_attend_in_groups():
    stack = load("llama")
    clones = grouped(stack.layers)
    for clone, layer in zip(clones, stack.layers, strict=True):
        assert clone.self_attn.config._attn_implementation == GROUPED
        assert layer.self_attn.config._attn_implementation == "sdpa"
        assert clone.self_attn.q_proj is layer.self_attn.q_proj
    assert stack.model.config._attn_implementation == "sdpa"


def test_configs_inside_a_config_stay_as_they_are():
    layer = copy.deepcopy(load("llama").layers[0])
    layer.self_attn.config = MoshiConfig(attn_implementation="sdpa")
    before = layer.self_attn.config.depth_decoder_config._attn_implementation
    assert grouped([layer])[0].self_attn.config._attn_implementation == GROUPED
    assert layer.self_attn.config.depth_decoder_config._attn_implementation == before != GROUPED


def test_layers_without_shared_keys_or_with_another_attention_stay_as_they_are():
    stack = load("gpt_neox")
    assert all(a is b for a, b in zip(grouped(stack.layers), stack.layers, strict=True))
    stack = load("llama")
    stack.model.set_attn_implementation("eager")
    assert all(a is b for a, b in zip(grouped(stack.layers), stack.layers, strict=True))
    stack.model.set_attn_implementation("sdpa")


def test_layers_whose_forward_pass_is_replaced_stay_as_they_are(monkeypatch):
    layers = load("llama").layers
    monkeypatch.setattr(layers[0].self_attn, "forward", layers[0].self_attn.forward)
    monkeypatch.setattr(layers[1], "forward", layers[1].forward)
    stays = [a is b for a, b in zip(grouped(layers), layers, strict=True)]
    assert stays[:3] == [True, True, False]
