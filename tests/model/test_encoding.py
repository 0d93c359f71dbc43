"""Prompts and continuations as tokens, whatever a tokenizer puts around texts."""

import pytest
import torch
from families import N_LAYERS, build
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_of_all_kinds import KINDS, byte_level, sentencepiece
from transformers import PythonBackend

import skiploop
from skiploop import Options, Program
from skiploop.engine.batching.encoding import encode, encode_pairs
from skiploop.errors import BatchError, ConfigError

PLAIN = Program.identity(N_LAYERS)
AROUND = [
    {},
    {"end": "</s>"},
    {"start": "<s>"},
    {"start": "<s>", "end": "</s>"},
    {"start": "<pad> <s>", "end": "<|end_turn|> </s>"},
]
MERGES = [("t", "h"), ("th", "e"), ("o", "n"), ("e", "n"), ("n", "d"), ("a", "n"), ("1", "2")]


def stack_with(tokenizer):
    model = build("llama")
    model.resize_token_embeddings(len(tokenizer))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (model.model.embed_tokens.weight, model.lm_head.weight):
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return skiploop.load(model, tokenizer=tokenizer)


def likelihood(stack, tokens, n_scored):
    """Return the log-probability of the last tokens of a row, in one pass without cache."""
    with torch.no_grad():
        logits = stack.model(torch.tensor([tokens]), use_cache=False).logits[0].log_softmax(-1)
    places = range(len(tokens) - n_scored, len(tokens))
    return sum(float(logits[at - 1, tokens[at]]) for at in places)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_tokenizer_puts_after_a_text_is_in_no_prompt(kind, around):
    stack = stack_with(KINDS[kind](**around))
    bare = stack.tokenizer("12 on", add_special_tokens=False)["input_ids"]
    start = stack.tokenizer.convert_tokens_to_ids(around.get("start", "").split())
    assert encode(stack, ["12 on"]) == [(*start, *bare)]
    without_end = stack_with(KINDS[kind](start=around.get("start", "")))
    for ask in (
        lambda s: s.generate(["12 on"], PLAIN, max_new_tokens=4),
        lambda s: s.choose(["12 on"], [[" the", " a"]], PLAIN),
        lambda s: s.loglikelihood(["12 on"], [" the end"], PLAIN),
        lambda s: [states.tolist() for states in s.hidden_states(["12 on"], 2)],
        lambda s: drafted(s, "12 on", " the end"),
    ):
        assert ask(stack) == ask(without_end)


def drafted(stack, prompt, draft):
    options = Options(max_new_tokens=12, drafts=[draft], score_drafts=True)
    columns = stack.stream([prompt], PLAIN, options)
    return [c for column in columns for c in column.finished.values()]


@pytest.mark.parametrize("around", AROUND[2:])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_brings_its_start_token_gets_no_second_one(kind, around):
    stack = stack_with(KINDS[kind](**around))
    written = around["start"].replace(" ", "")
    (tokens,) = encode(stack, [f"{written}<|end_turn|>"])
    expected = [*around["start"].split(), "<|end_turn|>"]
    assert list(tokens) == stack.tokenizer.convert_tokens_to_ids(expected)


def test_a_chat_template_that_writes_the_start_token_makes_the_same_prompt():
    stack = stack_with(byte_level(start="<s>", end="</s>"))
    stack.tokenizer.chat_template = "<s>{{ messages[0]['content'] }}<|end_turn|>"
    message = [{"role": "user", "content": "12"}]
    text = stack.tokenizer.apply_chat_template(message, tokenize=False)
    assert encode(stack, [text]) == encode(stack, [text.removeprefix("<s>")])


def test_an_empty_prompt_is_the_start_token_alone_and_never_the_end_token():
    stack = stack_with(byte_level(start="<s>", end="</s>"))
    assert encode(stack, [""]) == [(stack.tokenizer.bos_token_id,)]
    with pytest.raises(BatchError, match="no tokens"):
        encode(stack_with(byte_level(end="</s>")), [""])


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", KINDS)
def test_a_likelihood_is_that_of_the_tokens_of_the_continuation(kind, around):
    stack = stack_with(KINDS[kind](**around))
    prompts, rests = ["on 12 ", "the", "a the end"], ["the end", " 12", "\nb"]
    if kind == "metaspace":
        rests[2] = " b"
    found = stack.loglikelihood(prompts, rests, PLAIN)
    start = stack.tokenizer.convert_tokens_to_ids(around.get("start", "").split())
    for prompt, rest, score in zip(prompts, rests, found, strict=True):
        bare = [
            stack.tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (prompt.rstrip(), prompt + rest)
        ]
        n_scored = len(bare[1]) - len(bare[0])
        assert score == pytest.approx(likelihood(stack, [*start, *bare[1]], n_scored), abs=1e-3)


TEXTS = st.text("thendoa 12", min_size=1, max_size=8)


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
@settings(max_examples=50)
@given(order=st.permutations(MERGES), prompt=TEXTS, rest=TEXTS, other=TEXTS)
def test_tokens_that_join_prompt_and_continuation_count_once_and_none_is_lost(
    make, order, prompt, rest, other
):
    prompt, rest = f"x{prompt}", rest.rstrip() or "a"
    merges = sorted(order, key=lambda pair: len(pair[0]))  # `th` must be there before `the`
    stack = stack_with(make(merges, start="<s>", end="</s>"))
    (pair,) = encode_pairs(stack, [prompt], [rest])
    bare = stack.tokenizer(prompt + rest, add_special_tokens=False)["input_ids"]
    assert pair.whole == (stack.tokenizer.bos_token_id, *bare)
    texts = [stack.tokenizer.decode([*bare[:n]]) for n in range(len(bare) + 1)]
    inside = [n for n, text in enumerate(texts) if len(text) <= len(prompt.rstrip())]
    assert pair.n_continued == len(bare) - inside[-1]
    (score,) = stack.loglikelihood([prompt], [rest], PLAIN)
    assert score == pytest.approx(likelihood(stack, list(pair.whole), pair.n_continued), abs=1e-3)
    others = [f"{other}a", rest, "nd"]  # choices of one prompt share what they can
    alone = [stack.loglikelihood([prompt], [text], PLAIN)[0] for text in others]
    together = stack.loglikelihood([prompt] * 3, others, PLAIN)
    assert together == pytest.approx(alone, abs=1e-3)


def test_a_continuation_that_takes_the_whole_prompt_is_refused():
    stack = stack_with(byte_level(MERGES))
    with pytest.raises(BatchError, match="takes all tokens of its prompt 't'"):
        stack.loglikelihood(["t"], ["he"], PLAIN)
    with_start = stack_with(byte_level(MERGES, start="<s>"))
    (score,) = with_start.loglikelihood(["t"], ["he"], PLAIN)
    tokens = encode(with_start, ["the"])[0]
    assert score == pytest.approx(likelihood(with_start, list(tokens), 1), abs=1e-3)


class PairsOfLetters(PythonBackend):
    """A tokenizer in Python, without offsets: two letters a token, an end token after texts."""

    model_input_names = ("input_ids",)

    def __init__(self, **settings):
        letters = "ab1 "
        pieces = [*letters, *(x + y for x in letters for y in letters)]
        self._pieces = ["<pad>", "</s>", *pieces]
        super().__init__(pad_token="<pad>", eos_token="</s>", **settings)

    @property
    def vocab_size(self):
        return len(self._pieces)

    def get_vocab(self):
        return {piece: number for number, piece in enumerate(self._pieces)}

    def _tokenize(self, text):
        return [text[at : at + 2] for at in range(0, len(text), 2)]

    def _convert_token_to_id(self, token):
        return self._pieces.index(token)

    def _convert_id_to_token(self, index):
        return self._pieces[index]

    def convert_tokens_to_string(self, tokens):
        return "".join(tokens)

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [*token_ids_0, 1]


def test_a_tokenizer_in_python_is_right_or_refused():
    stack = stack_with(PairsOfLetters())
    assert encode(stack, ["ab1 "]) == [tuple(stack.tokenizer.convert_tokens_to_ids(["ab", "1 "]))]
    (score,) = stack.loglikelihood(["ab"], ["1 a"], PLAIN)
    tokens = stack.tokenizer.convert_tokens_to_ids(["ab", "1 ", "a"])
    assert score == pytest.approx(likelihood(stack, tokens, 2), abs=1e-3)
    with pytest.raises(BatchError, match="cannot tell where"):
        stack.loglikelihood(["a"], ["b1"], PLAIN)
    assert len(stack.model_id.split("-")) == 4
    (completion,) = stack.generate(["ab"], PLAIN, max_new_tokens=4, stop=["zz"])
    assert completion.text == stack.tokenizer.decode(completion.token_ids, skip_special_tokens=True)


def test_a_tokenizer_whose_special_tokens_change_the_text_is_refused():
    class Changing(PairsOfLetters):
        def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
            return [token + 1 for token in token_ids_0]

    with pytest.raises(ConfigError, match="expected the former inside the latter"):
        stack_with(Changing()).generate(["ab"], PLAIN)


def test_tokens_without_an_embedding_are_named_at_load_and_refused_in_texts(caplog):
    stack = stack_with(byte_level())
    assert not caplog.records
    tokenizer = byte_level()
    tokenizer.add_tokens([f"<unit{number}>" for number in range(5)])
    stack = skiploop.load(stack.model, tokenizer=tokenizer)
    (record,) = caplog.records
    assert "'<unit0>', '<unit1>', '<unit2>' and 2 more" in record.getMessage()
    for ask in (
        lambda: stack.generate(["go <unit4> now"], PLAIN),
        lambda: stack.loglikelihood(["go"], [" <unit4>"], PLAIN),
        lambda: stack.choose(["go"], [["a", "<unit4>"]], PLAIN),
        lambda: stack.hidden_states(["<unit4>"], 1),
    ):
        with pytest.raises(BatchError, match=r"holds '<unit4>', token 264, but .* for 260"):
            ask()
    (completion,) = stack.generate(["go"], PLAIN, max_new_tokens=3, stop=["<unit"])
    assert completion.token_ids
    assert drafted(stack, "go", " on")[0].draft_logprob < 0
