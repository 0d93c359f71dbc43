"""The logit lens: what the model would say after each of its layer passes."""

import httpx
import pytest
import torch
from families import N_LAYERS, load
from serving import served, stack_with_template

from skiploop import Program
from skiploop.engine.batching.encoding import encode
from skiploop.engine.windows import logits_along
from skiploop.server.lens import MAX_TOKENS, N_LIKELIEST

PROMPT = "the hen 3 on 9?"
TEXTS = ("identity", "1:3x0", "2:4x2", "1:3x3~0.5 4:5x0")


@pytest.mark.parametrize("text", TEXTS)
def test_the_last_pass_says_what_the_program_says(text):
    stack, program = load("llama"), Program.parse(text, N_LAYERS)
    (tokens,) = encode(stack, [PROMPT])
    logits_PV = logits_along(stack, tokens, program)
    view = stack.view(program)
    with torch.inference_mode():
        whole_V = view(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    assert len(logits_PV) == program.n_slots
    torch.testing.assert_close(logits_PV[-1], whole_V, atol=1e-4, rtol=1e-4)


def test_a_pass_in_the_middle_says_what_a_model_that_ends_there_says():
    stack = load("llama")
    (tokens,) = encode(stack, [PROMPT])
    logits_PV = logits_along(stack, tokens, Program.parse("2:4x2", N_LAYERS))
    ends_there = stack.view(Program.parse(f"3:{N_LAYERS}x0", N_LAYERS))
    with torch.inference_mode():
        expected_V = ends_there(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    torch.testing.assert_close(logits_PV[2], expected_V, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def server():
    with served(stack_with_template()) as (_, port):
        yield f"http://127.0.0.1:{port}/v1/skiploop/lens"


def test_the_server_tells_the_likeliest_tokens_after_each_pass(server):
    body = {"model": "tiny:2:4x2", "prompt": PROMPT}
    told = httpx.post(server, json=body).raise_for_status().json()
    assert [one["layer"] for one in told["passes"]] == [0, 1, 2, 3, 2, 3, *range(4, N_LAYERS)]
    for one in told["passes"]:
        shares = [token["probability"] for token in one["tokens"]]
        assert len(shares) == N_LIKELIEST and shares == sorted(shares, reverse=True)


def test_a_prompt_that_is_too_long_for_a_lens_is_refused(server):
    refused = httpx.post(server, json={"prompt": "hen " * (MAX_TOKENS + 1)})
    assert refused.status_code == 400 and str(MAX_TOKENS) in refused.json()["error"]["message"]
