"""Tiny GGUF files, written from tiny random models as the converters of llama.cpp write them."""

import contextlib
import io

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

N_LAYERS, N_HEADS, N_KV_HEADS, VOCAB_SIZE = 2, 4, 2, 300
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "num_key_value_heads": N_KV_HEADS,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
TEXT = "the quick brown fox jumps over the lazy dog, again and again and again"


def model(model_type="llama", **fields):
    """A random model whose layers all change the result."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(model_type, **(SIZES | fields))
        )
        for weight in made.parameters():
            weight.data.normal_(std=0.3 if weight.ndim > 1 else 0.1).add_(weight.ndim == 1)
    return made.eval()


def tokens():
    """A byte-level vocabulary: three special tokens, an alphabet and two merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    listed = ["<pad>", "<eos>", "<bos>", *alphabet, "he", "th"]
    return listed + [f"<unused{i}>" for i in range(VOCAB_SIZE - len(listed))]


def tokenizer():
    vocab = {token: i for i, token in enumerate(tokens())}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[("h", "e"), ("t", "h")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    )


def write(path, made, architecture="llama", change=lambda writer: None, extra=(), leave_out=()):
    """Write a model; `change` adds metadata, `extra` tensors, `leave_out` are keys."""
    writer = gguf.GGUFWriter(path, architecture)
    _write_sizes(writer, made.config, leave_out)
    _write_tokenizer(writer)
    change(writer)
    for name, tensor in _tensors(made, architecture):
        writer.add_tensor(name, np.ascontiguousarray(tensor, np.float32))
    for name, tensor in extra:
        writer.add_tensor(name, np.ascontiguousarray(tensor, np.float32))
    with contextlib.redirect_stderr(io.StringIO()):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    writer.close()
    return path


def _write_sizes(writer, config, leave_out):
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = getattr(config, "rope_parameters", None) or {}
    epsilon = next(
        getattr(config, name)
        for name in ("rms_norm_eps", "norm_eps", "layer_norm_eps", "norm_epsilon")
        if hasattr(config, name)
    )
    sizes = {
        "context_length": config.max_position_embeddings,
        "block_count": config.num_hidden_layers,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "vocab_size": config.vocab_size,
        "rope.dimension_count": int(head * rope.get("partial_rotary_factor", 1)),
    }
    for key in sizes.keys() - set(leave_out):
        writer.add_uint32(f"{writer.arch}.{key}", sizes[key])
    kind = "rms_epsilon" if hasattr(config, "rms_norm_eps") else "epsilon"
    writer.add_float32(f"{writer.arch}.attention.layer_norm_{kind}", epsilon)
    writer.add_rope_freq_base(rope.get("full_attention", rope).get("rope_theta", 1e4))


def _write_tokenizer(writer):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens())
    writer.add_token_types([3 if token in ("<pad>", "<eos>", "<bos>") else 1 for token in tokens()])
    writer.add_token_merges(["h e", "t h"])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)


def _tensors(made, architecture):
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[architecture], made.config.num_hidden_layers)
    for name, tensor in made.state_dict().items():
        stem, _, last = name.rpartition(".")
        values = tensor.numpy()
        if architecture == "llama" and stem.endswith(("q_proj", "k_proj")):
            values = _interleaved(values, N_HEADS if stem.endswith("q_proj") else N_KV_HEADS)
        if architecture in ("gemma2", "gemma3", "nemotron") and "norm.weight" in name:
            values = values + 1
        if names.get_name(stem):  # the others are tied
            yield f"{names.get_name(stem)}.{last}", values


def _interleaved(values, n_heads):
    """Order the rows of each head in pairs, as Meta does."""
    return (
        values.reshape(n_heads, 2, len(values) // n_heads // 2, *values.shape[1:])
        .swapaxes(1, 2)
        .reshape(values.shape)
    )
