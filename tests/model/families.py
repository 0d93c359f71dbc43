"""Tiny random models of every supported family, and a byte-level tokenizer for them.

Weights are redrawn at a scale at which every layer changes the result: at the default scale layers
are almost the identity, and tests of layer programs would prove nothing.
"""

import copy
import functools

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

import skiploop

N_LAYERS = 6
VERSION = tuple(map(int, transformers.__version__.split(".")[:2]))
VOCAB_SIZE = 72
EOS = "<eos>"
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?+-*/=()'\n "

COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
_ALTERNATING = {
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
}
_MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "decoder_sparse_step": 1,
}

FAMILIES = {
    "llama": {"model_type": "llama"},
    "qwen2": {"model_type": "qwen2"},
    "qwen2_sliding": {"model_type": "qwen2", "use_sliding_window": True, **_ALTERNATING},
    "qwen3": {"model_type": "qwen3", "head_dim": 8},
    "qwen2_moe": {"model_type": "qwen2_moe", "shared_expert_intermediate_size": 24, **_MOE},
    "qwen3_moe": {"model_type": "qwen3_moe", "head_dim": 8, **_MOE, "mlp_only_layers": [1, 4]},
    "mistral": {"model_type": "mistral", "sliding_window": 6},
    "gemma2": {"model_type": "gemma2", "head_dim": 8, "query_pre_attn_scalar": 8, **_ALTERNATING},
    "gemma3": {
        "model_type": "gemma3_text",
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        **_ALTERNATING,
    },
    "phi3": {"model_type": "phi3", "sliding_window": 6},
    "olmo2": {"model_type": "olmo2"},
    "gpt_neox": {"model_type": "gpt_neox"},
    "gpt2": {"model_type": "gpt2", "n_inner": 48},
    "smollm3": {"model_type": "smollm3", "no_rope_layers": [1, 1, 0, 1, 1, 0]},
    "granite": {
        "model_type": "granite",
        "attention_multiplier": 0.35,
        "residual_multiplier": 0.8,
        "logits_scaling": 2.0,
    },
    "lfm2": {
        "model_type": "lfm2",
        "layer_types": ["conv", "conv", "full_attention"] * 2,
        "block_auto_adjust_ff_dim": False,
    },
    "qwen3_5": {
        "model_type": "qwen3_5_text",
        "head_dim": 16,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "layer_types": ["linear_attention", "linear_attention", "full_attention"] * 2,
    },
    "falcon_h1": {  # its layers return tuples, and hold states and keys and values at once
        "model_type": "falcon_h1",
        "mamba_d_ssm": 64,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 8,
    },
}

# Runs in the engine only: its loop looks things up by place, so it has no views. Older versions
# pass it states that are shared between layers, which mixed batches refuse.
GEMMA4 = {
    "model_type": "gemma4_text",
    "head_dim": 8,
    "global_head_dim": 16,
    "num_global_key_value_heads": 1,
    "hidden_size_per_layer_input": 0,
    **_ALTERNATING,
}
ALL_FAMILIES = {**FAMILIES, "gemma4": GEMMA4}
MIXED_FAMILIES = [f for f in ALL_FAMILIES if f != "gemma4" or VERSION >= (5, 20)]


def tolerance(family):
    """Largest difference of logits in float32 that comes of the order of additions alone."""
    return 1e-3 if family in ("lfm2", "qwen3_5", "falcon_h1") else 1e-4


@functools.cache
def _built(family, dtype):
    config = AutoConfig.for_model(**COMMON, **ALL_FAMILIES[family])
    with torch.random.fork_rng():
        torch.manual_seed(0)  # some families draw vectors too, which `redraw` builds on
        model = AutoModelForCausalLM.from_config(config).eval()
    redraw(model, seed=len(family))
    return model.to(dtype)


def redraw(model, seed):
    """Draw all weights again, large enough that no layer is almost the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                is_embedding = any(part in name for part in ("embed", "wte", "wpe"))
                scale = 0.25 if is_embedding else 1.2 / weight.shape[-1] ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
            else:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)


def build(family, dtype=torch.float32):
    """Return a tiny model of its own: nothing that a test does to it reaches another test."""
    return copy.deepcopy(_built(family, dtype))


@functools.cache
def tokenizer():
    """Return a real tokenizer: one token a character, some merges, and an end token."""
    vocabulary = {"<pad>": 0, EOS: 1}
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for character in _CHARACTERS:
        (piece, _), *_ = alphabet.pre_tokenize_str(character)
        vocabulary[piece] = len(vocabulary)
    # The first two bytes of a three-byte character, and its last one: text across tokens.
    euro = alphabet.pre_tokenize_str("€")[0][0]
    for piece in euro:
        vocabulary.setdefault(piece, len(vocabulary))
    merges = [("t", "h"), ("th", "e"), ("e", "n"), ("en", "d"), ("o", "n")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    bpe.pre_tokenizer = alphabet
    bpe.decoder = decoders.ByteLevel()
    while len(vocabulary) < VOCAB_SIZE:
        vocabulary[f"<{len(vocabulary)}>"] = len(vocabulary)
    bpe.add_special_tokens(["<pad>", EOS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token=EOS, clean_up_tokenization_spaces=False
    )


def load(family, dtype=torch.float32):
    """Return a stack of a tiny model with a tokenizer; test_check.py checks each of them once."""
    return skiploop.load(build(family, dtype), tokenizer=tokenizer(), verify=False)


def stacked_copy(model, program):
    """Return the model that a program describes, built with really copied layers."""
    settings = model.config.to_dict() | {"num_hidden_layers": program.n_slots}
    for name in ("layer_types", "no_rope_layers"):
        if settings.get(name) is not None:
            settings[name] = [settings[name][layer] for layer in program.path]
    if settings.get("mlp_only_layers"):
        dense = settings["mlp_only_layers"]
        settings["mlp_only_layers"] = [i for i, layer in enumerate(program.path) if layer in dense]
    copied = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings)).eval()
    weights = {}
    for name, weight in model.state_dict().items():
        for prefix in ("model.layers.", "transformer.h.", "gpt_neox.layers."):
            if name.startswith(prefix):
                layer, _, rest = name.removeprefix(prefix).partition(".")
                for slot in [s for s, i in enumerate(program.path) if i == int(layer)]:
                    weights[f"{prefix}{slot}.{rest}"] = weight.clone()
                break
        else:
            weights[name] = weight.clone()
    copied.load_state_dict(weights)
    return copied


def restacked(model, program):
    """Return a copy of the Gemma 4 model whose loop runs the program, for use without a cache."""
    model = copy.deepcopy(model)
    decoder, config = model.model, model.config
    decoder.layers = torch.nn.ModuleList(decoder.layers[layer] for layer in program.path)
    config.layer_types = [config.layer_types[layer] for layer in program.path]
    config.num_hidden_layers = decoder.first_kv_shared_layer_idx = program.n_slots
    return model
