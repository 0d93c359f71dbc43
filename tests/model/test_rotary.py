"""Rotary tables that depend on lengths: every row as the plain model makes it alone, uncached."""

import threading

import pytest
import torch
from families import COMMON, N_LAYERS, redraw, tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

import skiploop
from skiploop.engine.cache.states import StateCache
from skiploop.engine.decoding.prefill_choice import PrefillChoice
from skiploop.engine.options import Options
from skiploop.errors import BatchError
from skiploop.programs.program import Program

SWITCH = 24
LIMIT = 48
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [1.0, 4.0, 8.0, 16.0],
    "original_max_position_embeddings": SWITCH,
}
_TYPES = ["sliding_attention", "full_attention"] * 3
MODELS = {
    "longrope": {
        "model_type": "phi3",
        "max_position_embeddings": LIMIT,
        "original_max_position_embeddings": SWITCH,
        "rope_parameters": _LONG | {"partial_rotary_factor": 1.0},
    },
    "longrope without a cache that is made anew": {
        "model_type": "llama",
        "max_position_embeddings": LIMIT,
        "rope_parameters": _LONG,
    },
    "dynamic": {
        "model_type": "llama",
        "max_position_embeddings": SWITCH,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    },
    "longrope in some layers": {
        "model_type": "gemma3_text",
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 6,
        "layer_types": _TYPES,
        "max_position_embeddings": LIMIT,
        "rope_parameters": {
            "full_attention": _LONG,
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    },
}
every_model = pytest.mark.parametrize("model", MODELS)
PROGRAMS = [Program.parse(text, N_LAYERS) for text in ("identity", "1:2x0", "2:4x2")]
TEXT = "abcdefghijklmnopqrstuvwxyz0123456789.,:;"
EDGES = [TEXT[:n] for n in (5, 18, 22, 23, 24, 25, 30)]  # with up to 8 more, around the switch
N_NEW = 8


def load(model, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(**{**COMMON, **MODELS[model]})
        built = AutoModelForCausalLM.from_config(config).eval()
    redraw(built, seed=1)
    return skiploop.load(built, tokenizer=tokenizer(), **settings)


@torch.no_grad()
def logits(stack, program, ids):
    view = stack.view(program)
    view(torch.tensor([ids[:1]]), use_cache=False)  # transformers forgets longer tables only so
    return view(torch.tensor([ids]), use_cache=False).logits[0]


def uncached(stack, program, text, n_new=N_NEW):
    ids, n_prompt = list(tokenizer()(text)["input_ids"]), len(tokenizer()(text)["input_ids"])
    for _ in range(n_new):
        ids.append(logits(stack, program, ids)[-1].argmax().item())
    return tuple(ids[n_prompt:])


def tokens_of(completions):
    return [completion.token_ids for completion in completions]


@every_model
@pytest.mark.parametrize("exact", [False, True])
def test_rows_of_all_lengths_in_one_batch_equal_the_uncached_model(model, exact):
    stack = load(model, exact=exact)
    pairs = [(text, program) for text in EDGES for program in PROGRAMS]
    found = stack.generate(*zip(*pairs, strict=True), max_new_tokens=N_NEW)
    assert tokens_of(found) == [uncached(stack, p, text) for text, p in pairs]


@every_model
def test_the_long_table_changes_the_answer(model):
    stack = load(model)
    ids = tokenizer()(TEXT[:40])["input_ids"]
    whole = logits(stack, PROGRAMS[0], ids)
    assert (whole[:SWITCH] - logits(stack, PROGRAMS[0], ids[:SWITCH])).abs().max() > 0.01


@every_model
def test_a_shared_start_has_the_table_of_the_rows(model):
    stack = load(model)
    pairs = [(TEXT[:20] + end, p) for end in ("a", "bc", "9" * 10, "8" * 11) for p in PROGRAMS]
    found = stack.generate(*zip(*pairs * 4, strict=True), max_new_tokens=3)
    assert tokens_of(found) == [uncached(stack, p, text, 3) for text, p in pairs] * 4


@every_model
def test_loglikelihood_is_that_of_both_texts_in_one_pass(model):
    stack = load(model)
    head = TEXT[:20]
    for tail in (TEXT[20 : 20 + n] for n in (1, 4, 5, 6, 12)):
        ids = tokenizer()(head + tail)["input_ids"]
        logprobs = logits(stack, PROGRAMS[2], ids).log_softmax(-1)
        right = sum(logprobs[at - 1, ids[at]].item() for at in range(20, len(ids)))
        batch = stack.loglikelihood([head, head, TEXT[:3]], [tail, TEXT[20:38], "xy"], PROGRAMS[2])
        assert batch[0] == pytest.approx(right, abs=1e-4)


@every_model
def test_hidden_states_are_those_of_the_row_alone(model):
    stack = load(model)
    together = stack.hidden_states(EDGES, 4)
    for text, states_TD in zip(EDGES, together, strict=True):
        ids = torch.tensor([tokenizer()(text)["input_ids"]])
        with torch.no_grad():
            alone = stack.model(ids, use_cache=False, output_hidden_states=True).hidden_states[4][0]
        torch.testing.assert_close(states_TD, alone, rtol=0, atol=1e-4)


@every_model
def test_drafts_and_saved_states_change_nothing(model):
    stack = load(model)
    prompts = [text for text in EDGES for _ in PROGRAMS]
    programs = PROGRAMS * len(EDGES)
    expected = [uncached(stack, p, text) for text, p in zip(prompts, programs, strict=True)]
    drafts = [tokenizer().decode(tokens[:6]) for tokens in expected]
    saved = StateCache(10**7)
    for _ in range(2):
        options = Options(max_new_tokens=N_NEW, drafts=drafts, saved=saved)
        columns = stack.stream(prompts, programs, options)
        finished = {row: c for column in columns for row, c in column.finished.items()}
        assert tokens_of(finished[row] for row in range(len(prompts))) == expected


@every_model
def test_a_choice_during_the_prompt_sees_the_states_of_the_row_alone(model):
    stack = load(model)
    seen = {}

    def choose(numbers, states):
        seen.update(zip(numbers, states, strict=True))
        return [PROGRAMS[2]] * len(numbers)

    found = stack.generate(EDGES, PrefillChoice(2, choose), max_new_tokens=N_NEW)
    assert tokens_of(found) == [uncached(stack, PROGRAMS[2], text) for text in EDGES]
    for number, states_TD in enumerate(stack.hidden_states(EDGES, 2)):
        torch.testing.assert_close(seen[number], states_TD, rtol=0, atol=1e-4)


@every_model
def test_what_ran_before_and_what_runs_beside_changes_nothing(model):
    stack = load(model)
    with torch.no_grad():  # leaves its table on the module
        stack.model(torch.tensor([tokenizer()(TEXT[:40])["input_ids"]]), use_cache=False)
    expected = {text: uncached(load(model), PROGRAMS[1], text) for text in EDGES}
    found = {}

    def run(text):
        found[text] = stack.generate([text], PROGRAMS[1], max_new_tokens=N_NEW)[0].token_ids

    threads = [threading.Thread(target=run, args=[text]) for text in EDGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_dynamic_tables_take_prompts_as_much_longer_as_their_factor_says():
    stack = load("dynamic")
    stack.generate([TEXT[: LIMIT - 10]], PROGRAMS[0], max_new_tokens=10)
    with pytest.raises(BatchError, match=f"takes {LIMIT} in all"):
        stack.generate([TEXT[: LIMIT - 10]], PROGRAMS[0], max_new_tokens=11)


def test_fixed_tables_cost_nothing():
    plain = AutoModelForCausalLM.from_config(AutoConfig.for_model(**COMMON, model_type="llama"))
    assert not skiploop.load(plain.eval(), tokenizer=tokenizer()).rotary_switches
