"""Loading a model and finding its layers."""

import json

import pytest
import torch
from families import ALL_FAMILIES, EOS, N_LAYERS, build, load, redraw, tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModel

import skiploop
from skiploop.errors import ConfigError, UnsupportedModelError
from skiploop.models import resolve as weights
from skiploop.programs.program import Program


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_the_layers_of_every_family_are_found(family):
    stack = load(family)
    assert stack.n_layers == len(stack.layers) == N_LAYERS
    assert stack.model.get_submodule(stack.layers_path) is stack.layers
    assert stack.layers in list(stack.decoder.children())


@pytest.fixture
def folder(tmp_path):
    build("qwen3").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_is_loaded_in_the_asked_type(folder):
    tokens = torch.tensor([[3, 4, 5]])
    stack = skiploop.load(folder)
    assert (stack.dtype, stack.device, stack.name) == (
        torch.float32,
        torch.device("cpu"),
        str(folder),
    )
    assert not stack.model.training
    with torch.no_grad():
        assert torch.equal(stack.model(tokens).logits, build("qwen3")(tokens).logits)
    assert stack.tokenizer.eos_token == EOS
    assert skiploop.load(str(folder), dtype="bfloat16").dtype == torch.bfloat16


def test_a_name_is_resolved_to_a_folder(folder, monkeypatch):
    monkeypatch.setattr(weights, "resolve", {"tiny-model": folder}.__getitem__)
    stack = skiploop.load("tiny-model")
    assert stack.name == "tiny-model"
    assert stack.generate(["a"], Program.identity(N_LAYERS), max_new_tokens=1)


def test_damaged_weights_are_named(folder):
    (folder / "config.json").write_text('{"model_type": "qwen3"')
    with pytest.raises(UnsupportedModelError, match="cannot be loaded"):
        skiploop.load(folder)


@pytest.mark.parametrize(
    "wrong", [{"num_attention_heads": "nine"}, {"num_hidden_layers": None}, {"vocab_size": -3}]
)
def test_a_configuration_with_wrong_values_is_one_error_that_says_what_to_do(folder, wrong):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    with pytest.raises(UnsupportedModelError, match=r"cannot be loaded: .* check its config.json"):
        skiploop.load(folder)


def test_a_pickle_beside_unrelated_safetensors_is_not_read(folder):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save(build("qwen3").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModelError, match=r"no file named model\.safetensors"):
        skiploop.load(folder)


@pytest.mark.parametrize("n_bytes", [0, 100, 20_000])
def test_weights_that_are_cut_off_name_the_folder_and_what_to_do(folder, n_bytes):
    weights_file = folder / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:n_bytes])
    with pytest.raises(
        UnsupportedModelError, match=rf"{folder} are cut off .* download them again"
    ):
        skiploop.load(folder)


def test_weights_of_another_shape_or_not_all_there_are_refused_by_name(folder):
    weights_file = folder / "model.safetensors"
    tensors = load_file(weights_file)
    name = "model.layers.0.mlp.up_proj.weight"
    del tensors[name]
    save_file(tensors, weights_file, {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=rf"{name} is missing"):
        skiploop.load(folder)
    save_file({**tensors, name: torch.zeros(3, 3)}, weights_file, {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=rf"{name} has shape \[3, 3\]"):
        skiploop.load(folder)


def test_code_that_comes_with_weights_does_not_run(folder):
    config = (folder / "config.json").read_text()
    custom = config.replace(
        '"qwen3"', '"own", "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}', 1
    )
    assert custom != config
    (folder / "config.json").write_text(custom)
    (folder / "own.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UnsupportedModelError, match="trust_remote_code"):
        skiploop.load(folder)


def test_a_model_object_is_used_as_it_is():
    model = build("llama", torch.bfloat16)
    stack = skiploop.load(model)
    assert stack.model is model
    assert stack.dtype == torch.bfloat16
    assert skiploop.load(model, dtype="bfloat16", device="cpu").model is model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "bfloat16"}, "convert it first"),
        ({"device": "cuda"}, "move it first"),
        ({"dtype": "int8"}, "unknown dtype 'int8': expected one of float64, float32"),
        ({"device": "toaster"}, "unknown device 'toaster'"),
    ],
)
def test_arguments_that_contradict_a_model_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        skiploop.load(build("llama"), **arguments)


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ConfigError, match=r"model\.eval\(\)"):
        skiploop.load(build("gpt2").train())


def test_a_model_without_head_is_refused():
    with pytest.raises(UnsupportedModelError, match="AutoModelForCausalLM"):
        skiploop.load(AutoModel.from_config(build("llama").config).eval())


def test_layers_can_be_named_by_hand():
    model = build("llama")
    model.model.twins = torch.nn.ModuleList(model.model.layers)  # now there are two lists
    with pytest.raises(
        UnsupportedModelError, match=r"saw \['model.layers', 'model.twins'\]; name it yourself"
    ):
        skiploop.load(model)
    stack = skiploop.load(model, layers="model.layers", tokenizer=tokenizer())
    assert stack.layers_path == "model.layers"
    expected = load("llama").generate(["a"], Program.parse("1:3x2", N_LAYERS))
    assert stack.generate(["a"], Program.parse("1:3x2", N_LAYERS)) == expected


@pytest.mark.parametrize("path", ["model.blocks", "model.norm", "lm_head"])
def test_a_wrong_path_to_the_layers_is_refused(path):
    with pytest.raises(UnsupportedModelError, match=r"such as model\.layers"):
        skiploop.load(build("llama"), layers=path)


def test_weights_id_tells_models_apart_and_survives_rounding():
    stack = load("llama")
    assert stack.weights_id == load("llama").weights_id
    assert len(stack.weights_id) == 16
    half = skiploop.load(build("llama", torch.bfloat16))
    assert half.weights_id == stack.weights_id
    other = build("llama")
    redraw(other, seed=99)
    ids = {skiploop.load(other).weights_id, stack.weights_id, load("qwen3").weights_id}
    assert len(ids) == 3


def test_weights_id_does_not_depend_on_where_the_model_was_loaded_from(folder):
    assert skiploop.load(folder).weights_id == load("qwen3").weights_id


def test_importing_skiploop_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, skiploop, skiploop.engine.plan.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
