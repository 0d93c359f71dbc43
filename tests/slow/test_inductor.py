"""Parts of layers, compiled by Inductor itself: the other tests run their graphs as they are."""

import math
import shutil
from dataclasses import replace

import pytest
import torch
from families import load

from skiploop.engine.batching.rows import pad_left
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.parts import Parts
from skiploop.engine.plan.schedule import schedule
from skiploop.engine.tuning import CPU

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("g++"), reason="needs a compiler"),
]
PATHS = [[0, 1, 2, 3, 4, 5], [0, 1, 1, 2, 5], [3, 3, 3]]
PROMPTS = [[7, 3, 9, 22, 41], [3, 8], [44]]


@pytest.mark.parametrize("family", ["llama", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_compiled_parts_have_the_logits_of_parts_as_they_are(family, dtype, mode):
    logits = []
    for patience in (math.inf, 0):
        stack = load(family, dtype)
        stack.parts = Parts(replace(CPU, patience=patience))
        tokens, mask = pad_left(PROMPTS, stack.device)
        with mode():
            for _ in range(2):  # the first calls are those that compile
                executor = Executor(stack, schedule(PATHS), use_cache=True)
                found = executor.logits(tokens, mask, n_last=5)
            one = Executor(stack, schedule(PATHS[:1]), use_cache=True)
            for _ in range(2):
                alone = one.logits(tokens[:1, :1], mask[:1, : one._cache.n_tokens + 1], n_last=1)
        logits.append((found[mask.bool()], alone))
        assert bool(stack.parts.n_compiled) is (patience == 0)
    atol = 1e-4 if dtype is torch.float32 else 0.1
    torch.testing.assert_close(*logits, rtol=0, atol=atol)
