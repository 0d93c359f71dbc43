"""A folder of safetensors is used as a whole, or refused by the name of what would be left out."""

import json

import pytest
import torch
from ggufs import model, tokenizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import skiploop
from skiploop.errors import UnsupportedModelError

IDS = torch.tensor([list(range(3, 60))])
WEIGHT = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path / "model", model())


def save(path, made):
    made.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def logits(made):
    with torch.no_grad():
        return made(IDS).logits


def refused(folder, match):
    with pytest.raises(UnsupportedModelError, match=match) as caught:
        skiploop.load(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_the_configuration_has_no_place_for_are_named(tmp_path):
    folder = save(tmp_path / "model", model(attention_bias=True))
    change_config(folder, attention_bias=False)
    refused(folder, r"self_attn\.k_proj\.bias has no place in the model.*copy or download")


def test_layers_beyond_the_configuration_are_named(folder):
    change_config(folder, num_hidden_layers=1)
    refused(folder, r"model\.layers\.1\..* has no place")


@pytest.mark.parametrize("name", ["mtp.0.weight", "model.mtp.fc.weight", "visual.proj.weight"])
def test_layers_that_guess_ahead_and_other_senses_may_be_left_out(folder, name):
    change_tensors(folder, lambda tensors: tensors.update({name: torch.ones(3)}))
    assert torch.equal(logits(skiploop.load(folder).model), logits(model()))


def test_layers_that_guess_ahead_are_left_out_where_the_configuration_declares_them(folder):
    change_tensors(folder, lambda tensors: tensors.update({"model.layers.2.x": torch.ones(3)}))
    refused(folder, r"model\.layers\.2\.x has no place")
    change_config(folder, num_nextn_predict_layers=1)
    assert torch.equal(logits(skiploop.load(folder).model), logits(model()))


def test_a_tensor_under_two_names_is_refused(folder):
    change_tensors(folder, lambda tensors: tensors.update({"norm.weight": torch.zeros(32)}))
    refused(folder, r"norm\.weight is there under two names")


def test_a_tensor_in_two_files_is_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for file in ("a.safetensors", "b.safetensors"):
        save_file(tensors, folder / file, {"format": "pt"})
    where = dict.fromkeys(tensors, "a.safetensors") | {WEIGHT: "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    refused(folder, r"two files in .* hold")


@given(
    name=st.one_of(
        st.sampled_from(["lm_head.bias", "model.norm.bias", "score.weight", "v_head.weight"]),
        st.text("abc._", min_size=1, max_size=12),
    ),
    shape=st.lists(st.integers(1, 4), max_size=2),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tensor_more_is_refused_by_name_or_changes_nothing(tmp_path_factory, name, shape):
    folder = save(tmp_path_factory.mktemp("model"), model())
    change_tensors(folder, lambda tensors: tensors.update({name: torch.ones(shape)}))
    try:
        loaded = skiploop.load(folder).model
    except UnsupportedModelError as error:
        assert name in str(error)
    else:
        assert torch.equal(logits(loaded), logits(model()))


def test_an_output_layer_beside_tied_embeddings_is_used(tmp_path):
    folder = save(tmp_path / "model", model(tie_word_embeddings=True))
    other = torch.randn(300, 32, generator=torch.Generator().manual_seed(0))
    change_tensors(folder, lambda tensors: tensors.update({"lm_head.weight": other}))
    assert torch.equal(skiploop.load(folder).model.lm_head.weight, other)


def test_stored_frequencies_are_left_out_only_if_the_model_has_them(folder):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    table = model().model.rotary_emb.inv_freq
    change_tensors(folder, lambda tensors: tensors.update({name: table.bfloat16()}))
    assert torch.equal(logits(skiploop.load(folder).model), logits(model()))
    change_tensors(folder, lambda tensors: tensors.update({name: table / 4}))
    refused(folder, r"rotary_emb\.inv_freq has other values than the model")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.int32, torch.uint8])
def test_weights_in_few_bits_without_a_scale_are_refused(folder, dtype):
    change_tensors(folder, lambda tensors: tensors.update({WEIGHT: tensors[WEIGHT].to(dtype)}))
    refused(folder, rf"{WEIGHT} in .* without a scale .*float32")
    change_config(folder, quantization_config={"quant_method": "fp8"})
    refused(folder, rf"{WEIGHT} in .* without a scale .*float32")


def test_float8_weights_with_their_scales_are_read_as_the_numbers_they_stand_for(folder):
    reference = model()
    scale = torch.tensor([[0.5]])
    small = (reference.get_parameter(WEIGHT).detach() / scale).to(torch.float8_e4m3fn)
    reference.get_parameter(WEIGHT).data = small.float() * scale
    change_tensors(
        folder, lambda tensors: tensors.update({WEIGHT: small, f"{WEIGHT}_scale_inv": scale})
    )
    others = [name for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj")]
    change_config(
        folder,
        quantization_config={
            "quant_method": "fp8",
            "weight_block_size": [128, 128],
            "modules_to_not_convert": [*others, "lm_head", "model.layers.1.mlp.up_proj"],
        },
    )
    assert torch.equal(logits(skiploop.load(folder).model), logits(reference))


@pytest.mark.parametrize("method", ["gptq", "awq", "compressed-tensors", "of-tomorrow", None])
def test_other_ways_to_quantise_are_refused_before_the_weights_are_read(folder, method):
    (folder / "model.safetensors").write_bytes(b"")
    change_config(folder, quantization_config={"quant_method": method, "bits": 4})
    refused(folder, rf"quantised with {method!r}, which is not supported: use")


@pytest.mark.parametrize(
    "fields",
    [
        {"vocab_size": 10**12},
        {"hidden_size": 10**9},
        {"intermediate_size": 10**11},
        {"head_dim": 10**12},
        {"num_hidden_layers": 10**9},
        {"num_labels": 10**9},
        {"num_attention_heads": 10**9, "head_dim": 8},
    ],
)
def test_sizes_that_the_files_do_not_hold_cost_nothing(folder, fields):
    change_config(folder, **fields)
    refused(folder, "the configuration states|cannot be loaded")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("rms_norm_eps", "rms_norm_epss"), ("max_position_embeddings", "max_position_embedding")],
)
def test_a_field_that_is_misspelt_is_refused_with_the_right_one(folder, right, wrong):
    path = folder / "config.json"
    stated = json.loads(path.read_text())
    stated[wrong] = stated.pop(right)
    path.write_text(json.dumps(stated))
    refused(folder, f"'{wrong}', which nothing reads: did you mean '{right}'")


@pytest.mark.parametrize(
    ("field", "value"), [("final_logit_softcapping", 30.0), ("sliding_window", 8), ("alibi", True)]
)
def test_a_field_of_another_family_that_bears_on_numbers_is_refused(folder, field, value):
    change_config(folder, **{field: value})
    refused(folder, f"'{field}' = {value}, but llama in transformers passes over it")


@pytest.mark.parametrize(
    ("positions", "match"),
    [
        ({"type": "of-tomorrow", "factor": 2.0}, "of-tomorrow"),
        ({"type": "linear"}, "factor"),
        ({"factor": 2.0}, "'factor' without a rope_type"),
        ({"type": "yarn", "factor": 2.0, "beta_fst": 4.0}, "did you mean 'beta_fast'"),
    ],
)
def test_positions_scaled_in_an_unknown_way_are_refused(folder, positions, match):
    change_config(folder, rope_scaling=positions, rope_parameters=None)
    refused(folder, match)


def test_two_bases_of_positions_are_refused(folder):
    change_config(folder, rope_theta=5e5)
    refused(folder, "'rope_theta' = 500000.0 beside 'rope_parameters'")


@pytest.mark.parametrize("name", ["flash_attention_2", "of-tomorrow"])
def test_attention_that_is_not_there_is_refused(folder, name):
    change_config(folder, _attn_implementation=name)
    refused(folder, "cannot be loaded: .*; check its config.json")


@pytest.mark.parametrize(
    "fields",
    [
        {"sliding_window": None},
        {"logit_scale": 1.0},
        {"license": "mit"},
        {"pretraining_tp": 2},
    ],
)
def test_fields_that_change_nothing_are_accepted(folder, fields):
    change_config(folder, **fields)
    assert torch.equal(logits(skiploop.load(folder).model), logits(model()))


def test_a_tokenizer_of_a_newer_format_is_one_line(folder):
    path = folder / "tokenizer.json"
    stated = json.loads(path.read_text())
    stated["model"]["type"] = "NewBPE"
    path.write_text(json.dumps(stated))
    refused(folder, r"cannot be loaded: .*; check its config\.json and tokenizer files")
