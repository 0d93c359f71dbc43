"""Tiny random models of every family that transformers registers as a causal language model.

Their configs are the default ones with every size that is known by its name made small. Weights are
drawn at a scale at which every layer changes the result.
"""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

FAMILIES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
N_LAYERS = 4

_LAYERS = (
    "num_hidden_layers num_layers n_layer n_layers decoder_layers encoder_layers num_decoder_layers"
    " num_encoder_layers num_blocks depth conf_num_hidden_layers num_layers_per_stack"
)
_NAMES_OF = {
    32: "hidden_size d_model n_embd emb_dim embedding_size embedding_dim word_embed_proj_dim"
    " lru_width input_embedding_size output_embedding_size hidden_size_global out_hidden_size"
    " backbone_hidden_size vision_output_dim adapter_in_dim adapter_out_dim output_channels"
    " ple_embed_dim shape_embed_dim pronunciation_embed_dim projector_output_dim"
    " adapter_input_size"
    " attention_hidden_size",
    48: "intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size n_inner dff"
    " dim_ff d_inner d_ff feed_forward_size intermediate_size_mlp mlp_dim dense_intermediate_size",
    24: "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size"
    " shared_experts_intermediate_size moe_shared_expert_intermediate_size expert_ffn_hidden_size"
    " router_hidden_size prompt_mid_dim",
    16: "kv_lora_rank q_lora_rank o_lora_rank",
    12: "qk_head_dim",
    8: "head_dim v_head_dim qk_nope_head_dim index_head_dim linear_head_dim linear_key_head_dim"
    " linear_value_head_dim mamba_d_head mamba_d_state state_size ssm_state_size kv_channels"
    " attention_head_dim swa_head_dim mamba_head_dim dim_head d_head d_kv attention_head_size"
    " mamba_n_heads mamba_chunk_size mamba_num_heads sliding_window_size attention_chunk_size"
    " attention_window_size local_attention query_pre_attn_scalar"
    " hc_lowrank laurel_rank adapter_rank gated_norm_rank d_rel hidden_size_per_layer_input"
    " time_step_rank mamba_dt_rank",
    6: "sliding_window window_size",
    4: _LAYERS
    + " num_attention_heads attention_heads n_head n_heads num_heads decoder_attention_heads"
    " encoder_attention_heads num_decoder_attention_heads num_encoder_attention_heads"
    " swa_num_attention_heads num_experts n_routed_experts num_local_experts moe_num_experts"
    " qk_rope_head_dim rotary_dim linear_num_heads linear_num_value_heads index_n_heads"
    " num_query_groups conf_num_attention_heads",
    2: "num_key_value_heads num_kv_heads kv_n_heads swa_num_key_value_heads num_experts_per_tok"
    " num_experts_per_token moe_topk moe_top_k moe_k linear_num_key_heads index_topk_blocks",
    1: "n_group topk_group num_expert_group n_groups mamba_n_groups mamba_ngroups o_groups"
    " first_k_dense_replace num_dense_layers num_mem_blocks",
    300: "vocab_size type_vocab_size decoder_vocab_size vocab_size_per_layer_input"
    " unpadded_vocab_size pronunciation_vocab_size shape_vocab_size audio_vocab_size",
    128: "max_position_embeddings n_positions n_ctx max_seq_len context_length"
    " max_target_positions model_max_length",
}
_SIZES = {name: size for size, names in _NAMES_OF.items() for name in names.split()}
_OPTIONAL = {"head_dim", "num_key_value_heads"}  # which some models need and leave out
_INDEXER = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 8,
    "indexer_compress_ratio": 2,
}
_MADE = {  # what the rules do not give
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0}
            for kind in ("sliding_attention", "full_attention")
        },
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots3_note": {"text_config": {"layer_types": ["indexed_attention"] * N_LAYERS}},
    "dots3_note_text": {"layer_types": ["indexed_attention"] * N_LAYERS},
    "falcon_h1": {"mamba_d_ssm": 64, "num_hidden_layers": 4},
    "gemma3n_text": {"num_kv_shared_layers": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"head_dim": 4},
    "mamba2": {"num_heads": 8},
    "qwen4_exp": {"text_config": _INDEXER},
    "qwen4_exp_text": _INDEXER,
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 16]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "zamba2": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "rwkv": {"rescale_every": 2},
    "zaya": {"num_experts_per_tok": 1},
}


def tiny_config(family):
    """Return the default config of a family with small sizes."""
    sizes = _merged(_small(AutoConfig.for_model(family)), _MADE.get(family, {}))
    return AutoConfig.for_model(family, **sizes)


def _small(config):
    """Return the sizes of a config, and of the configs in it, made small."""
    fields = {k: v for k, v in vars(config).items() if not k.startswith("_")}
    n_layers = next(
        (fields[name] for name in ("num_hidden_layers", "n_layer") if name in fields), 0
    )
    small = {}
    for name, value in fields.items():
        if hasattr(value, "to_dict"):
            small[name] = _small(value)
        elif name in _SIZES and (type(value) is int or (value is None and name in _OPTIONAL)):
            small[name] = _SIZES[name]
        elif isinstance(value, list | tuple) and len(value) == n_layers > 1:
            kinds = list(dict.fromkeys(map(_hashable, value)))
            small[name] = [kinds[i % len(kinds)] for i in range(N_LAYERS)]
        elif name.endswith(("token_id", "token_index")) and value is not None:
            small[name] = 0 if name == "pad_token_id" else 1
    if "kv_lora_rank" in small:  # latent attention: every head has its keys
        small["num_key_value_heads"] = small["num_attention_heads"]
        small.pop("head_dim", None)
    return small


def _merged(sizes, others):
    """Return sizes with others in their place, also inside configs."""
    both = {k: _merged(sizes[k], v) for k, v in others.items() if isinstance(sizes.get(k), dict)}
    return sizes | others | both


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


def tiny_model(family, seed=0):
    """Return a model of a family in evaluation mode; no token ends what it writes."""
    torch.manual_seed(seed)
    config = tiny_config(family)
    if hasattr(config, "is_decoder"):
        config.is_decoder = True
    model = AutoModelForCausalLM.from_config(config).eval()
    redraw(model, seed)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def redraw(model, seed):
    """Draw all weights again, large enough that no layer is almost the identity."""
    device = model.device
    generator = torch.Generator(device).manual_seed(seed)

    def drawn(weight):
        return torch.randn(weight.shape, generator=generator, device=device)

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.is_floating_point():
                continue
            if weight.ndim > 1 and "A_log" not in name:
                is_embedding = any(part in name for part in ("embed", "wte", "wpe"))
                scale = 0.3 if is_embedding else 1.2 / weight.shape[-1] ** 0.5
                weight.copy_(drawn(weight) * scale)
            else:
                weight.add_(drawn(weight) * 0.1)


def tokenizer(size=0):
    """Return a tokenizer of one token a byte, and of others up to `size` that it never gives."""
    vocabulary = {"<pad>": 0, "<eos>": 1}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[character] = len(vocabulary)
    for number in range(len(vocabulary), size):
        vocabulary[f"<{number}>"] = number
    bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens(["<pad>", "<eos>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        pad_token="<pad>",
        eos_token="<eos>",
        clean_up_tokenization_spaces=False,
    )
