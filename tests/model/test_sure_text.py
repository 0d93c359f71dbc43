"""What is told of an answer while it is written is never taken back."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers_of_all_kinds import KINDS

from skiploop.engine.decoding.row_state import RowState, TokenWriter
from skiploop.engine.options import Options
from skiploop.programs.program import Program

TOKENIZERS = {name: made() for name, made in KINDS.items()}
ROW = SimpleNamespace(index=0, program=Program.identity(2))


def writer_of(kind, stop):
    tokenizer = TOKENIZERS[kind]
    config = SimpleNamespace(eos_token_id=tokenizer.eos_token_id)
    model = SimpleNamespace(generation_config=config)
    stack = SimpleNamespace(tokenizer=tokenizer, model=model, n_embeddings=len(tokenizer))
    return TokenWriter(stack, Options(max_new_tokens=99, stop=stop))


def test_bytes_with_a_special_token_between_them_are_not_told_before_the_end():
    writer = writer_of("sentencepiece", [])
    byte, special, other = 4, 0, 132
    state = RowState(ROW, writer, (1, 1))
    for token in (byte, special, other):
        state.tokens.append(token)
        assert writer.sure_text(state.tokens) == ""
    assert writer.completion(state, "length").text == "\ufffd\ufffd"


def test_bytes_of_one_character_with_a_special_token_between_them_are_not_told_before_the_end():
    writer = writer_of("byte_level", [])
    state = RowState(ROW, writer, (1, 1))
    for token in (130, 0, 98):
        state.tokens.append(token)
        assert writer.sure_text(state.tokens) == ""
    assert writer.completion(state, "length").text == "\N{INVERTED EXCLAMATION MARK}"


@pytest.mark.parametrize("kind", KINDS)
@given(
    data=st.data(),
    stop=st.lists(st.sampled_from(["ab", "a: ", ".", "then", "<|end_turn|>"]), max_size=2),
)
def test_each_told_text_starts_with_the_one_before_and_the_whole_with_all(kind, data, stop):
    writer = writer_of(kind, stop)
    tokens = data.draw(st.lists(st.integers(0, len(TOKENIZERS[kind]) - 1), max_size=12))
    state, told = RowState(ROW, writer, (1, 1)), ""
    for token in tokens:
        state.tokens.append(token)
        if writer.stopped_by(state):
            break
        sure = writer.sure_text(state.tokens)
        assert sure.startswith(told)
        told = sure
    assert writer.completion(state, "length").text.startswith(told)
