"""Where answers end and what is shown of them, for tokenizers of all kinds."""

import itertools
import re

import pytest
import torch
from families import N_LAYERS, build
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers_of_all_kinds import KINDS, SPECIAL

import skiploop
from skiploop import Options, Program
from skiploop.engine.decoding.stop import StopFinder, cut, ending_tokens
from skiploop.engine.decoding.written import Reader, decode

TOKENIZERS = {name: make() for name, make in KINDS.items()}
PLAIN = Program.identity(N_LAYERS)


def written(tokenizer, tokens):
    """Decode tokens as they come after a letter, special ones too."""
    before = tokenizer("a", add_special_tokens=False)["input_ids"]
    return tokenizer.decode([*before, *tokens]).removeprefix("a")


def first_end(tokenizer, tokens, stop):
    """Return how many tokens there are when the text first holds a stop string, by trying all."""
    for n in range(1, len(tokens) + 1):
        if any(string in written(tokenizer, tokens[:n]) for string in stop):
            return n
    return None


@st.composite
def answers(draw, kind):
    """Draw tokens and stop strings that some of them hold."""
    tokenizer = TOKENIZERS[kind]
    likely = st.sampled_from(range(len(SPECIAL))) | st.integers(0, len(tokenizer) - 1)
    spelled = st.sampled_from(["a the end", "€a\nb", " on 12", "é.", "  a"]).map(
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    )
    parts = draw(st.lists(st.lists(likely, max_size=4) | spelled, min_size=1, max_size=4))
    tokens = [token for part in parts for token in part] or [5]
    text = written(tokenizer, tokens)
    start = draw(st.integers(0, max(0, len(text) - 1)))
    inside = text[start : start + draw(st.integers(1, 5))].strip("\ufffd") or "x"
    others = st.sampled_from(["\n", " the", "€", " ", "</s>", "a<|end_turn|>", "<s> on", "zz"])
    return tokens, [*draw(st.lists(others, max_size=2)), inside]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100)
@given(data=st.data())
def test_a_stop_is_found_at_the_first_token_that_completes_it(kind, data):
    tokens, stop = data.draw(answers(kind))
    finder = StopFinder(TOKENIZERS[kind], stop, frozenset())
    found = (
        n + 1
        for n, token in enumerate(tokens)
        if finder.watched(torch.tensor([token])) and finder.has_stop(tokens[: n + 1])
    )
    assert next(found, None) == first_end(TOKENIZERS[kind], tokens, stop)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100)
@given(data=st.data())
def test_neither_the_stop_nor_special_tokens_are_shown(kind, data):
    tokens, stop = data.draw(answers(kind))
    tokenizer = TOKENIZERS[kind]
    assume("<" not in decode(tokenizer, tokens))
    before = cut(written(tokenizer, tokens), stop)
    shown = Reader(tokenizer).shown_of(before, tokens)
    # Only special tokens hold a "<", so they are found in the text, also when cut.
    ordinary = re.sub(r"<[^>]*>?", "", before)
    whole = re.sub(r"<[^>]*>?", "", written(tokenizer, tokens))
    decoded = decode(tokenizer, tokens)  # without the space in front, and special tokens
    # Bytes on both sides of a special token may be one character for the tokenizer.
    assume(whole.lstrip(" ") == decoded.lstrip(" "))
    assert shown == ordinary[len(whole) - len(decoded) :]


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_an_answer_without_stop_is_what_the_tokenizer_decodes(kind):
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer("<s> the end<|end_turn|> a")["input_ids"]
    reader = Reader(tokenizer)
    expected = tokenizer.decode(tokens, skip_special_tokens=True)
    assert reader.shown(tokens) == reader.shown_of(reader.written(tokens), tokens) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_that_end_a_draft_are_those_whose_text_after_it_starts_with_a_stop(kind):
    tokenizer, stop = TOKENIZERS[kind], (" the", "<|end", "en")
    found = ending_tokens(tokenizer, stop, frozenset({7})).tolist()
    starting = [t for t in range(len(tokenizer)) if written(tokenizer, [t]).startswith(stop)]
    assert found == sorted({7, *starting})
    assert SPECIAL.index("<|end_turn|>") in found


def writing(tokens, tokenizer):
    """Return a stack whose model writes these tokens, each after the one before."""
    model = build("llama")
    model.resize_token_embeddings(len(tokenizer))
    generator = torch.Generator().manual_seed(0)
    model.lm_head = torch.nn.Linear(32, len(tokenizer), bias=False)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(1)
        embeddings = torch.randn(len(tokenizer), 32, generator=generator)
        model.get_input_embeddings().weight.copy_(embeddings)
        model.lm_head.weight.zero_()
        for before, after in itertools.pairwise(tokens):
            model.lm_head.weight[after] += embeddings[before] / embeddings[before].norm() * 10
    return skiploop.load(model.eval(), tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("b the<|end_turn|>on", "<|end_turn|>", " the"),
        ("b the<|end_turn|>on", "the<|end", " "),
        ("b<|end_turn|>on d", "on", ""),
        ("b the.on", " the", ""),
        ("b 1<s>2</s>3", "</s>", " 12"),
    ],
)
def test_a_model_that_writes_a_special_token_stops_there(text, stop, shown):
    tokenizer = TOKENIZERS["byte_level"]
    tokens = tokenizer(text)["input_ids"]
    stack = writing(tokens, tokenizer)
    (completion,) = stack.generate(["b"], PLAIN, max_new_tokens=20, stop=[stop])
    n_tokens = first_end(tokenizer, tokens[1:], [stop])
    assert completion.token_ids == tuple(tokens[1 : 1 + n_tokens])
    assert (completion.text, completion.stopped_by) == (shown, "stop")
    for draft in (shown, shown + stop, text[1:], "zz"):
        options = Options(max_new_tokens=20, stop=[stop], drafts=[draft], score_drafts=True)
        columns = stack.stream(["b"], PLAIN, options)
        (drafted,) = [c for column in columns for c in column.finished.values()]
        assert (drafted.text, drafted.token_ids) == (completion.text, completion.token_ids)


def test_the_space_before_the_first_word_of_a_sentencepiece_answer_counts():
    tokenizer = TOKENIZERS["sentencepiece"]
    ids = tokenizer.convert_tokens_to_ids
    tokens = [ids("b"), ids("▁the"), ids("▁on"), ids("d")]
    stack = writing(tokens, tokenizer)
    for stop, shown in ((" the", ""), (" on", "the"), ("the", "")):
        (completion,) = stack.generate(["b"], PLAIN, max_new_tokens=3, stop=[stop])
        assert (completion.text, completion.stopped_by) == (shown, "stop")


def test_an_end_token_that_completes_a_stop_string_leaves_none_of_it():
    tokenizer = TOKENIZERS["byte_level"]
    tokens = tokenizer("b1.</s>")["input_ids"]
    stack = writing(tokens, tokenizer)
    stack.model.generation_config.eos_token_id = tokens[-1]
    (plain,) = stack.generate(["b"], PLAIN, max_new_tokens=9)
    assert (plain.text, plain.stopped_by) == ("1.", "eos")
    (stopped,) = stack.generate(["b"], PLAIN, max_new_tokens=9, stop=[".</s>"])
    assert (stopped.text, stopped.token_ids) == ("1", plain.token_ids)
