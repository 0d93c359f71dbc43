"""A GGUF file becomes the model it was written from, or is refused by the name of what is lost."""

import gguf
import numpy as np
import pytest
import torch
from ggufs import N_HEADS, model, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from skiploop.errors import UnsupportedModelError
from skiploop.models.gguf import config as gguf_config
from skiploop.models.gguf.conversion import convert_gguf

NEWER = "transformers.integrations.gguf"  # older ones read fewer tokenizers from GGUF
IDS = torch.tensor([list(range(3, 203))])
FREE = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


def logits(made):
    with torch.no_grad():
        return made(IDS).logits


@pytest.fixture
def convert(tmp_path_factory):
    """Write a model as GGUF, convert it, and load the folder by plain transformers."""

    def converted(made, *arguments, **changes):
        folder = tmp_path_factory.mktemp("gguf")
        file = write(folder / "m.gguf", made, *arguments, **changes)
        (folder / "converted").mkdir()
        convert_gguf(file, folder / "converted")
        return AutoModelForCausalLM.from_pretrained(folder / "converted")

    return converted


@pytest.fixture
def refused(convert):
    def check(match, *arguments, **changes):
        with pytest.raises(UnsupportedModelError, match=match) as caught:
            convert(model(), *arguments, **changes)
        assert "\n" not in str(caught.value)

    return check


def numbers(**values):
    """Metadata of whole and broken numbers, by key; two underscores stand for a dot."""

    def add(writer):
        for key, value in values.items():
            name = f"{writer.arch}.{key.replace('__', '.')}"
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(name, value)

    return add


GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "tie_word_embeddings": True}
CAPPED = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 20.0}
WINDOW = {"attention__sliding_window": 64}


@pytest.mark.parametrize(
    ("architecture", "model_type", "fields", "said"),
    [
        ("llama", "llama", {}, {}),
        ("llama", "llama", {"head_dim": 16, "rms_norm_eps": 0.01, "rope_theta": 5e4}, {}),
        ("qwen2", "qwen2", {"rope_theta": 5e4}, {}),
        ("qwen3", "qwen3", {"head_dim": 16}, {}),
        ("gemma2", "gemma2", {**GEMMA, **CAPPED, "sliding_window": 64}, {**CAPPED, **WINDOW}),
        ("gemma3", "gemma3_text", {**GEMMA, "sliding_window": 64, "num_hidden_layers": 6}, WINDOW),
        ("phi3", "phi3", {"partial_rotary_factor": 0.5, "sliding_window": 64}, WINDOW),
        ("starcoder2", "starcoder2", {"rope_theta": 5e4, "norm_epsilon": 0.01}, {}),
        ("stablelm", "stablelm", {"partial_rotary_factor": 0.5, "layer_norm_eps": 0.01}, {}),
        ("nemotron", "nemotron", {"norm_eps": 0.01}, {}),
    ],
)
def test_every_family_computes_what_it_was_written_from(
    convert, architecture, model_type, fields, said
):
    if model_type.startswith("gemma"):
        pytest.importorskip(NEWER)
    made = model(model_type, **fields)
    assert torch.equal(logits(convert(made, architecture, numbers(**said))), logits(made))


SCALED = {
    "linear": (
        {"rope_type": "linear", "factor": 4.0},
        lambda writer: (
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR),
            writer.add_rope_scaling_factor(4.0),
        ),
    ),
    "linear, the old way": (
        {"rope_type": "linear", "factor": 4.0},
        numbers(rope__scale_linear=4.0),
    ),
    "yarn": (
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        lambda writer: (
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN),
            writer.add_rope_scaling_factor(4.0),
            writer.add_rope_scaling_orig_ctx_len(64),
        ),
    ),
    "yarn, said in full": (
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 64,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
        },
        lambda writer: (
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN),
            writer.add_rope_scaling_factor(4.0),
            writer.add_rope_scaling_orig_ctx_len(64),
            writer.add_rope_scaling_finetuned(True),
            writer.add_rope_scaling_yarn_beta_fast(16.0),
            writer.add_rope_scaling_yarn_beta_slow(2.0),
            writer.add_rope_scaling_yarn_ext_factor(1.0),
        ),
    ),
}


@pytest.mark.parametrize("name", SCALED)
def test_scaled_positions_are_scaled(convert, name):
    positions, say = SCALED[name]
    made = model(rope_parameters={"rope_theta": 1e4, **positions})
    assert not torch.allclose(logits(made), logits(model()), atol=0.1)
    torch.testing.assert_close(logits(convert(made, change=say)), logits(made), atol=1e-4, rtol=0)


def test_gemma_3_scales_the_positions_of_its_far_looking_layers_only(convert):
    pytest.importorskip(NEWER)
    near = {"rope_type": "default", "rope_theta": 1e4}
    far = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    made = model(
        "gemma3_text",
        **GEMMA,
        num_hidden_layers=6,
        sliding_window=64,
        rope_parameters={"sliding_attention": near, "full_attention": far},
    )
    say = numbers(
        attention__sliding_window=64, rope__scaling__factor=8.0, rope__freq_base_swa=10000.0
    )
    assert torch.equal(logits(convert(made, "gemma3", say)), logits(made))


def test_the_factors_of_llama_3_become_its_rule(convert):
    rule = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    made = model(head_dim=64, rope_parameters={"rope_theta": 1e4, **rule})
    plain = 1e4 ** -(torch.arange(0, 64, 2) / 64)
    factors = (plain / made.model.rotary_emb.inv_freq).numpy()
    converted = convert(made, extra=[("rope_freqs.weight", factors)])
    assert converted.config.rope_parameters == {"rope_theta": 1e4, **rule}
    assert torch.equal(logits(converted), logits(made))


@given(factors=st.lists(st.floats(0.25, 64, width=16), min_size=4, max_size=4))
@FREE
def test_any_factors_divide_the_frequencies(convert, factors):
    made = model()
    converted = convert(made, extra=[("rope_freqs.weight", np.array(factors))])
    made.model.rotary_emb.inv_freq /= torch.tensor(factors)
    torch.testing.assert_close(logits(converted), logits(made), atol=1e-3, rtol=0)


def test_long_and_short_factors_are_longrope(convert):
    short, long = [1.0, 1.5], [2.0, 8.0]
    made = model(
        "phi3",
        partial_rotary_factor=0.5,
        original_max_position_embeddings=64,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": short,
            "long_factor": long,
            "original_max_position_embeddings": 64,
            "attention_factor": 1.25,
        },
    )
    converted = convert(
        made,
        "phi3",
        lambda writer: (
            writer.add_rope_scaling_attn_factors(1.25),
            writer.add_rope_scaling_orig_ctx_len(64),
        ),
        [("rope_factors_long.weight", long), ("rope_factors_short.weight", short)],
    )
    torch.testing.assert_close(logits(converted), logits(made), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"rope__scaling__yarn_log_multiplier": 0.1}, r"yarn_log_multiplier.*not understood"),
        ({"rope__scaling__alpha": 1000.0}, r"rope\.scaling\.alpha.*not understood"),
        ({"rope__scaling__attn_factor": 2.0}, r"not supported \(attn_factor 2"),
        ({"attention__scale": 0.5}, r"llama\.attention\.scale = 0\.5.*left out"),
        ({"logit_scale": 0.5}, r"llama\.logit_scale"),
        ({"expert_count": 4}, r"llama\.expert_count"),
        ({"final_logit_softcapping": 20.0}, r"llama\.final_logit_softcapping"),
        ({"attention__sliding_window": 8}, r"llama\.attention\.sliding_window"),
        ({"of_tomorrow": 1}, r"llama\.of_tomorrow"),
        ({"rope__freq_base_swa": 5.0}, r"llama\.rope\.freq_base_swa"),
        ({"rope__dimension_count_swa": 4}, r"llama\.rope\.dimension_count_swa"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_its_key(refused, said, match):
    refused(match, change=numbers(**said))


def test_a_sequence_of_positions_in_part_is_refused_where_all_are_turned(refused):
    refused(
        r"cannot be converted|rope\.dimension_count",
        change=numbers(rope__dimension_count=4),
        leave_out=["rope.dimension_count"],
    )


def test_keys_about_another_architecture_are_refused(refused):
    refused("has qwen2.block_count", change=lambda w: w.add_uint32("qwen2.block_count", 1))


def test_what_is_said_for_the_record_changes_nothing(convert):
    def say(writer):
        writer.add_string("general.author", "nobody")
        writer.add_string("quantize.imatrix.file", "x")
        writer.add_string("somebody.note", "x")
        writer.add_uint32("llama.expert_count", 0)
        writer.add_string("llama.tensor_data_layout", "Meta AI original pth")
        writer.add_causal_attention(True)

    assert torch.equal(logits(convert(model(), change=say)), logits(model()))


@pytest.mark.parametrize(
    "name", ["blk.0.attn_q.bias", "blk.7.ffn_up.weight", "rope_freqs.bias", "mm.0.weight", "x"]
)
def test_a_tensor_without_a_place_is_refused_by_name(refused, name):
    refused(f"no place for {name}", extra=[(name, np.ones(32))])


OWN = {
    value.format(arch="llama", name="x", id=0)
    for group in vars(gguf.Keys).values()
    if isinstance(group, type)
    for value in vars(group).values()
    if isinstance(value, str) and value.startswith("{arch}") and "{dense}" not in value
}


@given(
    key=st.one_of(
        st.sampled_from(sorted(OWN)),
        st.text("abc._", min_size=1, max_size=9).map("llama.{}".format),
        st.text("abc.", min_size=1, max_size=9),
    ),
    value=st.one_of(st.integers(0, 9), st.floats(0, 4, width=16), st.booleans(), st.text("ab")),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_key_more_is_refused_or_followed_or_changes_nothing(convert, key, value):
    def say(writer):
        add = {int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
        add.get(type(value), writer.add_string)(key, value)

    try:
        converted = convert(model(), change=say, leave_out=[key.removeprefix("llama.")])
    except UnsupportedModelError:
        return
    except ValueError as error:
        assert "Duplicated key" in str(error)  # the writer's: it is in the file already
        return
    followed = model(
        **{
            "llama.rope.scaling.factor": {
                "rope_parameters": {"rope_type": "linear", "factor": value, "rope_theta": 1e4}
            },
            "llama.rope.scale_linear": {
                "rope_parameters": {"rope_type": "linear", "factor": value, "rope_theta": 1e4}
            },
        }.get(key, {})
        if value
        else {}
    )
    assert torch.allclose(logits(converted), logits(followed), atol=1e-3)


@pytest.mark.parametrize("way", ["gpt-2", "llama-bpe", "smollm"])
def test_ways_to_split_texts_that_are_known_are_accepted(convert, way):
    if way == "llama-bpe":
        pytest.importorskip(NEWER)

    def say(writer):
        writer.kv_data[0]["tokenizer.ggml.pre"].value = way

    assert convert(model(), change=say)


@pytest.mark.parametrize("way", ["of-tomorrow", "deepseek-coder", "default"])
def test_ways_to_split_texts_that_would_become_another_are_refused(refused, way):
    def say(writer):
        writer.kv_data[0]["tokenizer.ggml.pre"].value = way

    refused(f"tokenizer.ggml.pre = {way!r}", change=say)


def test_digits_that_are_merged_are_refused_where_digits_stay_alone(refused):
    def say(writer):
        writer.kv_data[0]["tokenizer.ggml.pre"].value = "smollm"
        writer.kv_data[0]["tokenizer.ggml.merges"].value = ["h e", "1 2"]
        writer.kv_data[0]["tokenizer.ggml.tokens"].value[-1] = "12"

    refused("tokenizer.ggml.pre = 'smollm'", change=say)


def test_an_unknown_key_of_the_tokenizer_is_refused(refused):
    refused(
        r"tokenizer\.ggml\.lowercase", change=lambda w: w.add_bool("tokenizer.ggml.lowercase", True)
    )


def test_an_adapter_and_a_part_of_a_model_are_refused(refused):
    refused("of the type 'adapter'", change=lambda w: w.add_type("adapter"))
    refused("one of 3 files", change=lambda w: w.add_uint16("split.count", 3))


def test_the_largest_gemma_scales_attention_by_all_of_its_width(convert, monkeypatch):
    pytest.importorskip(NEWER)
    made = model("gemma2", **GEMMA)
    monkeypatch.setitem(gguf_config._GEMMA_27B_LAYERS, "gemma2", made.config.num_hidden_layers)
    made.config.query_pre_attn_scalar = 32 // N_HEADS
    for layer in made.model.layers:
        layer.self_attn.scaling = (32 // N_HEADS) ** -0.5
    assert torch.equal(logits(convert(made, "gemma2")), logits(made))
