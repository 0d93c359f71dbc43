"""Who a model is: what changes its identity, what does not, and what older files hold."""

import copy
import sqlite3
from contextlib import closing

import pytest
import torch
from families import ALL_FAMILIES, COMMON, N_LAYERS, build, load, tokenizer
from parity import FirstLetterTask
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers_of_all_kinds import KINDS, byte_level
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

import skiploop
from skiploop import Program
from skiploop.errors import RunError
from skiploop.models.identity import check_model, config_id, tokenizer_id

PARTS = ("weights", "checksum", "configuration", "tokenizer")
PLAIN = Program.identity(N_LAYERS)


def parts(stack):
    return dict(zip(PARTS, stack.model_id.split("-"), strict=True))


def differing(one, other):
    return {part for part in PARTS if parts(one)[part] != parts(other)[part]}


def configured(**settings):
    """Return the weights of the tiny Llama under other settings."""
    config = AutoConfig.for_model(**{**COMMON, "model_type": "llama", **settings})
    model = AutoModelForCausalLM.from_config(config).eval()
    model.load_state_dict(build("llama").state_dict())
    return skiploop.load(model, tokenizer=tokenizer())


@pytest.mark.parametrize(
    "settings",
    [
        {"rms_norm_eps": 0.1},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"hidden_act": "gelu"},
        {"max_position_embeddings": 256},
        {"eos_token_id": 5},
        {"eos_token_id": [5, 6]},
    ],
)
def test_settings_that_change_numbers_or_ends_change_the_configuration(settings):
    assert differing(configured(**settings), configured()) == {"configuration"}


@pytest.mark.parametrize(
    "settings", [{"use_cache": False}, {"bos_token_id": 7}, {"name_or_path": "x"}, {"new": False}]
)
def test_settings_that_change_no_number_change_nothing(settings):
    assert not differing(configured(**settings), configured())


def test_settings_of_a_config_inside_a_config_count():
    def model(**text):
        inner = {**COMMON, "head_dim": 8, "model_type": "gemma3_text", **text}
        vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = AutoConfig.for_model("gemma3", text_config=inner, vision_config=vision)

        class Model:
            generation_config = build("llama").generation_config

        Model.config = config
        return Model

    assert config_id(model()) == config_id(model())
    assert config_id(model()) != config_id(model(sliding_window=99))


def test_the_configuration_part_depends_on_no_process_and_no_version():
    assert parts(configured())["configuration"] == "88e10eb7"


def test_one_changed_number_is_another_model_and_a_rounded_copy_is_not():
    model = build("llama")
    changed = copy.deepcopy(model)
    changed.model.layers[3].mlp.up_proj.weight.data[17, 11] += 0.1
    one, other = (skiploop.load(m, tokenizer=tokenizer()) for m in (model, changed))
    assert differing(one, other) == {"checksum"}
    rounded = skiploop.load(build("llama", torch.bfloat16), tokenizer=tokenizer())
    assert not differing(one, rounded)


def test_numbers_that_are_no_parameters_count():
    model = build("llama")
    ids = set()
    for value in (0.0, 1.0):
        model.model.register_buffer("bias", torch.full((3,), value))
        ids.add(skiploop.load(model).model_id)
    model.model.register_buffer("bias", torch.tensor([1, 2, 3], dtype=torch.int8))
    ids.add(skiploop.load(model).model_id)
    model.model.register_buffer("bias", torch.ones(3), persistent=False)  # made from the config
    ids.add(skiploop.load(model).model_id)
    assert len(ids) == 4


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_saved_and_a_used_model_keep_their_identity(family, tmp_path):
    stack = load(family)
    before = stack.model_id
    stack.model.save_pretrained(tmp_path)
    stack.generate(["a b"], PLAIN, max_new_tokens=2, stop=["x"])
    assert stack.model_id == before
    assert parts(skiploop.load(tmp_path, tokenizer=tokenizer())) == parts(stack)


def changed_backend(change):
    backend = Tokenizer.from_str(byte_level([("t", "h")]).backend_tokenizer.to_str())
    change(backend)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda b: setattr(b, "normalizer", normalizers.NFC()),
        lambda b: setattr(b, "pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=True)),
        lambda b: setattr(b, "decoder", decoders.Fuse()),
        lambda b: setattr(b, "post_processor", starting_with_s()),
        lambda b: b.add_tokens(["<x>"]),
    ],
)
def test_every_part_of_a_tokenizer_counts(change):
    assert tokenizer_id(changed_backend(change)) != tokenizer_id(changed_backend(lambda _: None))


def starting_with_s():
    return processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])


def test_merges_count_and_the_use_of_a_tokenizer_does_not():
    one, same, other = byte_level([("t", "h")]), byte_level([("t", "h")]), byte_level([("h", "t")])
    same(["a", "the end"], padding=True, truncation=True, max_length=4)
    same.chat_template = "{{ messages }}"
    assert tokenizer_id(one) == tokenizer_id(same) != tokenizer_id(other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_keeps_its_identity(kind, tmp_path):
    KINDS[kind](start="<s>").save_pretrained(tmp_path)
    saved = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert tokenizer_id(saved) == tokenizer_id(KINDS[kind](start="<s>"))


def test_a_stack_without_a_tokenizer_has_an_identity():
    assert skiploop.load(build("llama")).model_id.endswith("-none")


@pytest.mark.parametrize("part", range(4))
def test_a_model_that_differs_is_refused_with_the_part_that_does(part):
    stack = load("llama")
    ids = stack.model_id.split("-")
    ids[part] = "0" * len(ids[part])
    name = ("weights", "weights with checksum", "configuration", "tokenizer")[part]
    with pytest.raises(RunError, match=rf"RUN was made with {name} 0+, but .* has .*: use another"):
        check_model("-".join(ids), stack, "RUN was made with", "use another --out")
    with pytest.raises(RunError, match="weights 0, but"):
        check_model("0", stack, "RUN was made with", "use another --out")


def test_what_was_made_before_the_configuration_was_noted_is_told_apart(caplog):
    stack = load("llama")
    check_model(stack.model_id, stack, "RUN was made with", "")
    assert not caplog.records
    check_model(stack.weights_id, stack, "RUN was made with", "")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"RUN was made with weights {stack.weights_id}" in record.getMessage()


def test_a_table_of_another_configuration_or_tokenizer_is_refused_by_name(tmp_path, caplog):
    task, path = FirstLetterTask(), tmp_path / "grid.sqlite"
    examples = task.examples("train", 2)
    table = skiploop.score_grid(configured(), task, examples, [PLAIN], path=path)
    with pytest.raises(RunError, match="holds trials with configuration"):
        skiploop.score_grid(configured(rms_norm_eps=0.1), task, examples, [PLAIN], path=path)
    started = copy.deepcopy(tokenizer())
    started.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<pad> $A", special_tokens=[("<pad>", 0)]
    )
    other = skiploop.load(build("llama"), tokenizer=started)
    with pytest.raises(RunError, match="holds trials with tokenizer"):
        skiploop.score_grid(other, task, examples, [PLAIN], path=path)
    assert not caplog.records
    with closing(sqlite3.connect(path)) as db, db:  # as it was written before
        stack = configured()
        db.execute("UPDATE facts SET value = ? WHERE name = 'weights'", (stack.weights_id,))
    again = skiploop.score_grid(stack, task, examples, [PLAIN], path=path)
    assert (again == table).all()
    (record,) = caplog.records
    assert str(path) in record.getMessage() and "were not noted then" in record.getMessage()
