"""On a GPU, in float32: every exactness claim of the engine once more. Skipped elsewhere."""

from dataclasses import replace

import pytest
import torch
from families import FAMILIES, MIXED_FAMILIES, N_LAYERS, build, load, tokenizer, tolerance
from joining import run_at_random

import skiploop
from skiploop.engine.batching.rows import pad_left
from skiploop.engine.cache.slots import attends_fully
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.parts import Parts
from skiploop.engine.options import Options
from skiploop.engine.plan.schedule import schedule
from skiploop.engine.sampling import Sampling
from skiploop.engine.tuning import CUDA, TUNINGS
from skiploop.programs.program import Program

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "2:3x0 5:6x0", "2:4x3~0.5", "0:6x2")
]
PROMPTS = [
    "one and the same start, " + end for end in ("12+7=", "a", "hello there", "9", "b?", "-")
]


def on_gpu(family):
    return skiploop.load(build(family).to("cuda"), tokenizer=tokenizer())


def written(stack, prompts, programs, **settings):
    """The tokens of every row."""
    columns = stack.stream(prompts, programs, Options(**{"max_new_tokens": 8, **settings}))
    finished = {row: done for column in columns for row, done in column.finished.items()}
    return [finished[row].token_ids for row in range(len(prompts))]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_a_mixed_batch_has_the_logits_that_it_has_on_the_cpu(family):
    logits = {}
    for stack in (load(family), on_gpu(family)):
        executor = Executor(stack, schedule([p.layer_inputs for p in PROGRAMS]), use_cache=True)
        tokens, mask = pad_left([[7, 3, 9, 22], [3, 8], [44], [9, 8, 7], [5], [1, 2]], stack.device)
        found = [executor.logits(tokens, mask, n_last=1)]
        for token in (5, 41):
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            found.append(executor.logits(torch.full_like(mask[:, :1], token), mask, n_last=1))
        logits[stack.device.type] = torch.stack(found).cpu()
    torch.testing.assert_close(logits["cuda"], logits["cpu"], rtol=0, atol=tolerance(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_write_together_what_they_write_alone_with_drafts_and_without(family):
    stack = on_gpu(family)
    alone = [written(stack, [p], [g])[0] for p, g in zip(PROMPTS, PROGRAMS, strict=True)]
    drafts = [stack.tokenizer.decode(tokens[:4]) for tokens in alone]
    assert written(stack, PROMPTS, PROGRAMS) == alone
    assert written(stack, PROMPTS, PROGRAMS, drafts=drafts) == alone


@pytest.mark.parametrize("family", [f for f in FAMILIES if attends_fully(load(f).model)])
def test_recorded_steps_write_what_steps_one_by_one_write(family, monkeypatch):
    stack = on_gpu(family)
    recorded = [written(stack, PROMPTS, PROGRAMS, max_new_tokens=24) for _ in range(2)]
    monkeypatch.setitem(TUNINGS, "cuda", replace(CUDA, record_from=1000))
    assert recorded == [written(stack, PROMPTS, PROGRAMS, max_new_tokens=24)] * 2


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_rows_that_join_and_leave_recorded_steps_change_no_other_rows_tokens(family):
    run_at_random(on_gpu(family), seed=len(family))


def test_steps_are_recorded():
    stack = on_gpu("llama")
    graphs = []
    replay = torch.cuda.CUDAGraph.replay
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda.CUDAGraph, "replay", lambda g: (graphs.append(g), replay(g)))
        written(stack, PROMPTS, PROGRAMS, max_new_tokens=24)
    assert len(graphs) > 5
    assert stack.recorded


def test_drawn_tokens_do_not_depend_on_the_rest_of_the_batch():
    stack = on_gpu("llama")
    sampling = Sampling(temperature=0.8)
    together = written(stack, PROMPTS, PROGRAMS, sampling=sampling, seeds=range(6))
    last = written(stack, PROMPTS[-1:], PROGRAMS[-1:], sampling=sampling, seeds=[5])
    assert last == together[-1:]


@pytest.mark.parametrize("family", MIXED_FAMILIES)
def test_fused_layers_write_what_layers_write_in_recorded_steps_and_one_by_one(family):
    stack = on_gpu(family)
    expected = written(stack, PROMPTS, PROGRAMS, max_new_tokens=24)
    stack.parts = Parts(replace(CUDA, patience=0))
    for _ in range(2):
        assert written(stack, PROMPTS, PROGRAMS, max_new_tokens=24) == expected
        assert written(stack, PROMPTS[:1], PROGRAMS[:1], max_new_tokens=24) == expected[:1]


def test_fused_steps_are_recorded():
    stack = on_gpu("llama")
    stack.parts = Parts(replace(CUDA, patience=0))
    for prompts in (PROMPTS, PROMPTS[:1]):
        written(stack, prompts, PROGRAMS[: len(prompts)], max_new_tokens=24)
    assert stack.recorded
    assert stack.parts.n_compiled >= 6
