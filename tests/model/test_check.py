"""The check at load: what the engine cannot run right is refused, or runs alone."""

import logging

import families
import pytest
import torch
from families import ALL_FAMILIES, COMMON, N_LAYERS, build, redraw, tokenizer
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaModel

import skiploop
from skiploop import check as checking
from skiploop.check import check, check_once
from skiploop.engine.forward.way import Way
from skiploop.errors import UnsupportedModelError
from skiploop.programs.program import Program


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_every_family_passes(family, dtype):
    stack = families.load(family, dtype)
    check(stack)
    assert stack.way is Way.PADDED and not stack.exact


def llama(**settings):
    config = AutoConfig.for_model(**{**COMMON, "model_type": "llama", **settings})
    model = AutoModelForCausalLM.from_config(config).eval()
    redraw(model, seed=3)
    return model


class RemembersOnTheModule(LlamaDecoderLayer):
    """Adds the mean of what it was given so far, and keeps that outside the cache."""

    def forward(self, hidden_states, **kwargs):
        if hidden_states.shape[1] > 1:
            counts = torch.arange(1, hidden_states.shape[1] + 1)
            self.seen = hidden_states.cumsum(1) / counts[:, None]
        return super().forward(hidden_states, **kwargs) + self.seen[:, -hidden_states.shape[1] :]


class CountsPadding(LlamaDecoderLayer):
    """Adds something that depends on the place in the batch, padding included."""

    def forward(self, hidden_states, past_key_values=None, **kwargs):
        n_before = 0 if past_key_values is None else past_key_values.get_seq_length()
        steps = torch.arange(hidden_states.shape[1]) + n_before
        changed = hidden_states + 0.3 * torch.sin(steps)[:, None]
        return super().forward(changed, past_key_values=past_key_values, **kwargs)


class LooksBack(LlamaModel):
    """Gives every layer what the first one was given, too: attention residuals, simplified."""

    def forward(self, input_ids, **kwargs):
        self.embedded = self.embed_tokens(input_ids)
        for layer in self.layers:
            layer.owner = [self]
        return super().forward(input_ids, **kwargs)


class LookingLayer(LlamaDecoderLayer):
    def forward(self, hidden_states, **kwargs):
        return super().forward(hidden_states, **kwargs) + self.owner[0].embedded


def with_class(model, layer_class, model_class=None):
    for layer in model.model.layers:
        layer.__class__ = layer_class
    if model_class is not None:
        model.model.__class__ = model_class
    return model


def plain_tokens(model, text, n_new):
    """The greedy tokens of the plain model on one row, from its first token for every new one."""
    tokens = tokenizer()(text)["input_ids"]
    for _ in range(n_new):
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        tokens = [*tokens, logits.argmax().item()]
    return tuple(tokens[-n_new:])


def assert_equals_the_plain_model(stack):
    texts = ["a longer text", "another one", "short"]
    answers = stack.generate(texts, Program.identity(stack.n_layers), max_new_tokens=4)
    for text, answer in zip(texts, answers, strict=True):
        assert answer.token_ids == plain_tokens(stack.model, text, 4)


def test_states_outside_the_cache_are_computed_again_for_every_token(caplog):
    model = with_class(llama(), RemembersOnTheModule)
    with caplog.at_level(logging.WARNING):
        stack = skiploop.load(model, tokenizer=tokenizer())
    assert stack.way is Way.RECOMPUTED and not stack.exact
    assert "does not run right with a cache" in caplog.text
    assert_equals_the_plain_model(stack)


def test_layers_that_see_later_tokens_are_refused_with_the_name_of_what_differs():
    class LooksAhead(LlamaDecoderLayer):
        def forward(self, hidden_states, **kwargs):
            mean = hidden_states.mean(1, keepdim=True)
            return super().forward(hidden_states, **kwargs) + mean

    with pytest.raises(UnsupportedModelError, match=r"token by token.* differs .*verify=False"):
        skiploop.load(with_class(llama(), LooksAhead), tokenizer=tokenizer())


def test_layers_that_read_what_others_were_given_are_refused():
    model = with_class(llama(), LookingLayer, LooksBack)
    with pytest.raises(UnsupportedModelError, match="fails the check at load"):
        skiploop.load(model, tokenizer=tokenizer())


def test_rows_of_one_length_run_together_where_padding_differs(caplog):
    model = with_class(llama(), CountsPadding)
    with caplog.at_level(logging.WARNING):
        stack = skiploop.load(model, tokenizer=tokenizer())
    assert stack.way is Way.EQUAL and not stack.exact
    assert "rows of different length" in caplog.text
    assert_equals_the_plain_model(stack)


def test_rows_run_alone_where_they_change_each_other(caplog):
    class Couples(LlamaDecoderLayer):
        def forward(self, hidden_states, **kwargs):
            return super().forward(hidden_states + hidden_states.mean(0, keepdim=True), **kwargs)

    with caplog.at_level(logging.WARNING):
        stack = skiploop.load(with_class(llama(), Couples), tokenizer=tokenizer())
    assert stack.exact
    assert "every row runs alone" in caplog.text
    assert_equals_the_plain_model(stack)


def test_an_error_of_the_family_becomes_a_refusal():
    class Fails(LlamaDecoderLayer):
        def forward(self, hidden_states, **kwargs):
            raise IndexError("no such expert")

    with pytest.raises(UnsupportedModelError, match="IndexError: no such expert"):
        skiploop.load(with_class(llama(), Fails), tokenizer=tokenizer())


def test_verify_false_leaves_the_check_out():
    model = with_class(llama(), RemembersOnTheModule)
    assert skiploop.load(model, tokenizer=tokenizer(), verify=False).n_layers == N_LAYERS


def test_a_view_that_fails_is_refused_and_the_engine_runs():
    class KnowsItsPlace(LlamaDecoderLayer):
        def forward(self, hidden_states, **kwargs):
            assert self.self_attn.layer_idx < N_LAYERS
            return super().forward(hidden_states, **kwargs)

    stack = skiploop.load(with_class(llama(), KnowsItsPlace), tokenizer=tokenizer())
    assert stack.way is Way.PADDED
    assert_equals_the_plain_model(stack)
    with pytest.raises(UnsupportedModelError, match=r"use stack\.generate"):
        stack.view(Program.parse("0:2x2", N_LAYERS))


def test_recurrent_gemma_is_computed_again_for_every_token():
    config = AutoConfig.for_model(
        "recurrent_gemma",
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=1,
        vocab_size=72,
        lru_width=32,
        attention_window_size=64,
        block_types=["recurrent", "attention"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    redraw(model, seed=3)
    stack = skiploop.load(model, tokenizer=tokenizer())
    assert stack.way is Way.RECOMPUTED
    assert_equals_the_plain_model(stack)


def test_a_deep_model_is_checked_in_part_with_a_layer_of_each_kind():
    types = ["sliding_attention", "full_attention"] * 10
    deep = {"num_hidden_layers": 20, "layer_types": types}
    config = AutoConfig.for_model(**{**COMMON, **ALL_FAMILIES["gemma3"], **deep})
    stack = skiploop.load(AutoModelForCausalLM.from_config(config).eval(), tokenizer=tokenizer())
    part = checking._part(stack)
    assert part.n_layers < 8
    kept = {part.layers[i].self_attn.is_sliding for i in range(part.n_layers)}
    assert kept == {True, False}


def test_the_result_is_kept_for_the_files_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    build("llama").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    n_checks = []
    monkeypatch.setattr(checking, "check", lambda stack: n_checks.append(stack))
    for _ in range(2):
        skiploop.load(folder)
    assert len(n_checks) == 1
    skiploop.load(folder, dtype="bfloat16")
    (folder / "config.json").touch()
    skiploop.load(folder)
    assert len(n_checks) == 3


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"exact": true, "has_views": true, "way": "EQUAL"']
)
def test_a_damaged_note_only_means_to_check_again(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    build("llama").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    skiploop.load(folder)
    (note,) = (tmp_path / "cache" / "checked").iterdir()
    whole = note.read_bytes()
    note.write_bytes(damage)
    assert skiploop.load(folder).way is Way.PADDED
    assert note.read_bytes() == whole


def test_a_cache_that_cannot_be_written_only_means_to_check_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("no folder")
    check_once(families.load("llama"), tmp_path)
