"""A physical checkpoint is an ordinary model that gives the logits of the view."""

import json
import re

import families
import pytest
import torch
from families import COMMON, FAMILIES, N_LAYERS, load
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import skiploop
from skiploop import Program
from skiploop.errors import ConfigError, ProgramError, UnsupportedModelError
from skiploop.exchange import checkpoint
from skiploop.exchange.contents import Contents

LOOP, SKIP, MIXED = (
    Program.parse(text, N_LAYERS) for text in ("2:4x2", "0:1x0 4:5x0", "1:2x0 3:6x2")
)
TOKENS = torch.tensor([[7, 3, 9, 22, 41, 5, 5, 18, 30, 2, 12, 44, 8]])


def write(out, program, stack):
    checkpoint.write(out, Contents(programs=(program,)), stack)
    return out


def logits(model):
    with torch.no_grad():
        return model(TOKENS, use_cache=False).logits


def reloaded(folder, **more):
    return AutoModelForCausalLM.from_pretrained(folder, **more).eval()


def loaded(**settings):
    """Return the stack of a tiny random model with some settings of its family."""
    config = AutoConfig.for_model(**{**COMMON, **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    families.redraw(model, seed=3)
    return skiploop.load(model, tokenizer=families.tokenizer(), verify=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("program", [LOOP, MIXED], ids=str)
def test_plain_transformers_loads_it_and_gives_the_logits_of_the_view(family, program, tmp_path):
    stack = load(family)
    model = reloaded(write(tmp_path / "out", program, stack))
    assert model.config.get_text_config().num_hidden_layers == program.n_slots
    assert torch.equal(logits(model), logits(stack.view(program)))


def test_the_model_and_its_other_views_stay_as_they_are(tmp_path):
    stack = load("gemma3")
    before, identity = logits(stack.view(LOOP)), stack.model_id
    write(tmp_path / "out", LOOP, stack)
    assert torch.equal(logits(stack.view(LOOP)), before)
    assert stack.model_id == identity


def test_skips_alone_and_the_plain_model_are_programs_too(tmp_path):
    stack = load("smollm3")
    for program in (SKIP, Program.identity(N_LAYERS)):
        model = reloaded(write(tmp_path / str(program), program, stack))
        assert torch.equal(logits(model), logits(stack.view(program)))


def test_every_file_has_the_rights_of_a_new_one(tmp_path):
    folder = write(tmp_path / "out", LOOP, load("llama"))
    (tmp_path / "new").touch()
    rights = (tmp_path / "new").stat().st_mode
    assert [path.name for path in folder.iterdir() if path.stat().st_mode != rights] == []


def test_tied_embeddings_stay_tied(tmp_path):
    stack = loaded(model_type="llama", tie_word_embeddings=True)
    model = reloaded(write(tmp_path / "out", LOOP, stack))
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert torch.equal(logits(model), logits(stack.view(LOOP)))


def test_windows_by_number_of_first_layers_follow_the_program(tmp_path):
    stack = loaded(
        model_type="qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=3
    )
    config = reloaded(write(tmp_path / "out", SKIP, stack)).config
    assert config.max_window_layers == 2
    assert config.layer_types == ["full_attention"] * 2 + ["sliding_attention"] * 2
    model = reloaded(write(tmp_path / "loop", LOOP, stack))
    assert torch.equal(logits(model), logits(stack.view(LOOP)))


def test_large_checkpoints_have_an_index_and_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARD_SIZE", "50KB")
    stack = load("qwen3")
    out = write(tmp_path / "out", LOOP, stack)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    assert torch.equal(logits(reloaded(out)), logits(stack.view(LOOP)))
    again = skiploop.load(out)  # from several files
    assert torch.equal(logits(again.model), logits(stack.view(LOOP)))


def test_tokenizer_and_generation_settings_come_along(tmp_path):
    stack = load("llama")
    stack.model.generation_config.eos_token_id = 5
    out = write(tmp_path / "out", LOOP, stack)
    assert reloaded(out).generation_config.eos_token_id == 5
    tokens = AutoTokenizer.from_pretrained(out)("then the end").input_ids
    assert tokens == stack.tokenizer("then the end").input_ids


def test_low_precision_stays_as_it_is(llama_folder, tmp_path):
    stack = skiploop.load(llama_folder, dtype="bfloat16")
    model = reloaded(write(tmp_path / "out", LOOP, stack))
    assert model.dtype == torch.bfloat16
    assert torch.equal(logits(model), logits(stack.view(LOOP)))


@pytest.mark.parametrize("text", ["2:4x3~0.5", "2:4x1*0.5"])
def test_what_no_list_of_layers_says_is_refused_by_name(text, tmp_path):
    program = Program.parse(text, N_LAYERS)
    message = re.escape(text) + " has a damped loop or scaled layers.*use --to recipe"
    with pytest.raises(ProgramError, match=message):
        write(tmp_path / "out", program, load("llama"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        (
            {"model_type": "gpt2", "n_inner": 48, "scale_attn_by_inverse_layer_idx": True},
            "layer 2 at place 1 gets attn.scaling",
        ),
        (
            {
                "model_type": "qwen2_moe",
                "shared_expert_intermediate_size": 24,
                "num_experts": 4,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 24,
                "decoder_sparse_step": 2,
            },
            "its config.json describes other layers",
        ),
    ],
    ids=["gpt2", "qwen2_moe"],
)
def test_a_family_that_decides_by_place_is_refused_and_nothing_is_left(settings, how, tmp_path):
    with pytest.raises(
        UnsupportedModelError, match="would be another model where transformers"
    ) as caught:
        write(tmp_path / "out", MIXED, loaded(**settings))
    assert how in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_family_without_views_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="Gemma4ForCausalLM depends on the places"):
        write(tmp_path / "out", LOOP, load("gemma4"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_not_touched(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(ConfigError, match="exists already: give a new folder"):
        write(tmp_path, LOOP, load("llama"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
