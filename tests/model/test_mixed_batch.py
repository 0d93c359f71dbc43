"""The executor: rows of one batch under different programs, against each row alone."""

import gc
import inspect
import threading
import weakref

import pytest
import torch
from families import MIXED_FAMILIES, N_LAYERS, build, load, restacked, tolerance
from transformers import DynamicCache

import skiploop
from skiploop.engine.batching.rows import pad_left
from skiploop.engine.cache.slots import CallCache
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule
from skiploop.errors import UnsupportedModelError
from skiploop.programs.program import Program

# The fourth skips all full-attention layers of the families that alternate, the fifth all others.
PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "2:3x0 5:6x0", "0:2x0 3:5x0", "0:6x2")
]
PROMPTS = [
    [7, 3, 9, 22, 41, 5, 5, 18, 30, 2, 12],
    [3, 3, 8],
    [44],
    [9, 8, 7, 6, 5, 4, 3, 2],
    [1, 2],
]
PROMPTS.append([60, 50, 40, 30, 20, 10, 11])
NEXT = [[5, 6], [40, 41], [12, 13], [33, 9], [2, 3], [21, 22]]
every_family = pytest.mark.parametrize("family", MIXED_FAMILIES)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def alone(model, tokens):
    """The last logits of one row, computed without this engine and without a cache."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0, -1]


def truth(family, stack, program):
    """A model that runs one program, made without this engine."""
    return restacked(stack.model, program) if family == "gemma4" else stack.view(program)


def run(executor, prompts, continuations):
    """The last logits of every row after its prompt and after each next token."""
    tokens, mask = pad_left(prompts, torch.device("cpu"))
    logits = [executor.logits(tokens, mask, n_last=1)[:, -1]]
    for column in zip(*continuations, strict=True):
        tokens = torch.tensor(column)[:, None]
        mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        logits.append(executor.logits(tokens, mask, n_last=1)[:, -1])
    return torch.stack(logits, dim=1)


@every_family
def test_each_row_of_a_mixed_batch_equals_the_row_alone(family):
    stack = load(family)
    executor = Executor(stack, schedule([program.path for program in PROGRAMS]), use_cache=True)
    mixed = run(executor, PROMPTS, NEXT)
    for row, program in enumerate(PROGRAMS):
        model = truth(family, stack, program)
        for step in range(3):
            expected = alone(model, PROMPTS[row] + NEXT[row][:step])
            torch.testing.assert_close(mixed[row, step], expected, rtol=0, atol=tolerance(family))


@every_family
def test_one_unpadded_looping_row_equals_recomputing(family):
    # The case in which a repeated layer that shares its cache goes wrong without an error.
    stack = load(family)
    program = PROGRAMS[2]
    mixed = run(Executor(stack, schedule([program.path]), use_cache=True), PROMPTS[:1], NEXT[:1])
    model = truth(family, stack, program)
    for step in range(3):
        expected = alone(model, PROMPTS[0] + NEXT[0][:step])
        torch.testing.assert_close(mixed[0, step], expected, rtol=0, atol=tolerance(family))


@every_family
def test_identity_batch_equals_the_plain_model_and_for_exactness_bit_for_bit(family, monkeypatch):
    stack = load(family)
    tokens, mask = pad_left(PROMPTS[:2], torch.device("cpu"))
    inputs = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    accepted = inspect.signature(stack.model.forward).parameters
    inputs = {name: inputs[name] for name in inputs if name in accepted}
    expected = stack.model(tokens, use_cache=False, **inputs).logits

    def logits():
        executor = Executor(stack, schedule([range(N_LAYERS)] * 2, [0, 1]), use_cache=False)
        return executor.logits(tokens, mask, n_last=tokens.shape[1])

    real = mask.bool()
    torch.testing.assert_close(logits()[real], expected[real], rtol=0, atol=1e-5)
    monkeypatch.setattr(stack, "exact", True)
    assert torch.equal(logits()[real], expected[real])


@pytest.mark.parametrize("family", ["llama", "qwen2_sliding", MIXED_FAMILIES[-1], "lfm2"])
def test_rows_that_leave_do_not_change_the_others(family):
    stack = load(family)
    full = Executor(stack, schedule([program.path for program in PROGRAMS]), use_cache=True)
    expected = run(full, PROMPTS, NEXT)
    executor = Executor(stack, schedule([program.path for program in PROGRAMS]), use_cache=True)
    tokens, mask = pad_left(PROMPTS, torch.device("cpu"))
    executor.logits(tokens, mask, n_last=1)
    for step, stay in enumerate([[0, 2, 3, 5], [1, 3]]):
        rows = stay if step == 0 else [[0, 2, 3, 5][i] for i in stay]
        executor = executor.fork(stay, range(len(stay)))
        tokens = torch.tensor([[NEXT[row][step]] for row in rows])
        mask = torch.cat([mask[stay], torch.ones_like(tokens)], dim=1)
        logits = executor.logits(tokens, mask, n_last=1)[:, -1]
        torch.testing.assert_close(logits, expected[rows, step + 1], rtol=0, atol=tolerance(family))


@every_family
def test_layers_are_called_with_the_batch_as_first_dimension(family):
    # What the executor relies on to take some rows of a tensor.
    stack = load(family)
    n_rows, n_tokens = 3, 5
    seen = []

    def note(value):
        if isinstance(value, torch.Tensor):
            seen.append(value)
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                note(item)

    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, args, kw: note([args, kw]), with_kwargs=True)
    mask = torch.ones(n_rows, n_tokens, dtype=torch.long)
    mask[1, :2] = 0
    cache = DynamicCache(config=stack.model.config)
    stack.model(torch.ones_like(mask), attention_mask=mask, past_key_values=cache)
    assert seen
    for tensor in seen:
        assert tensor.ndim > 1
        assert len(tensor) in (1, n_rows)


def test_a_batch_of_equal_programs_never_splits_its_rows():
    stack = load("llama")
    assert not stack.calling.n_returned  # runs one token, once
    sizes = []
    for layer in stack.layers:
        layer.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    run(Executor(stack, schedule([PROGRAMS[1].path] * 4), use_cache=True), PROMPTS[:4], [()] * 4)
    assert sizes == [4] * PROGRAMS[1].n_slots


def test_every_executed_position_has_a_slot_of_its_own():
    stack = load("qwen2_sliding")
    paths = [program.path for program in PROGRAMS]
    cache = CallCache(stack.model.config, schedule(paths).calls)
    assert sum(call.stop - call.start for call in cache.calls) == sum(map(len, paths))
    proto = DynamicCache(config=stack.model.config).layers
    for call, slot in zip(cache.calls, cache.slots, strict=True):
        assert slot.get_mask_sizes(3) == proto[call.layer].get_mask_sizes(3)


def test_mask_sizes_are_those_of_the_plain_model_at_every_length():
    config = build("qwen2_sliding").config
    plain, calls = DynamicCache(config=config), CallCache(config, [])
    for n_tokens in range(1, 9):
        for layer in range(N_LAYERS):
            for n_new in (1, 3):
                sizes = plain.get_mask_sizes(n_new, layer)
                assert calls.get_mask_sizes(n_new, layer) == sizes
            states = torch.zeros(1, 2, 1, 8)
            plain.update(states, states, layer)
        assert calls.has_previous_state() == (n_tokens > 1)
        calls.advance(1)
        assert calls.get_seq_length() == plain.get_seq_length() == n_tokens


def test_executors_in_threads_do_not_interfere():
    stack = load("qwen3")
    batches = [[PROGRAMS[i], PROGRAMS[-1 - i]] for i in range(3)]

    def execute(programs):
        paths = [program.path for program in programs]
        return run(Executor(stack, schedule(paths), use_cache=True), PROMPTS[:2], NEXT[:2])

    expected = [execute(programs) for programs in batches]
    results = {}

    def work(index):
        with torch.no_grad():
            results[index] = [execute(batches[index]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, logits in results.items():
        for result in logits:
            torch.testing.assert_close(result, expected[index], rtol=0, atol=0)


def test_the_model_is_untouched_also_after_an_exception():
    stack = load("gemma3")
    tokens = torch.tensor(PROMPTS[:1])
    plain = stack.model(tokens, use_cache=False).logits
    layers = list(stack.model.model.layers)

    def fail(module, args):
        raise ArithmeticError

    handle = stack.layers[3].register_forward_pre_hook(fail)
    with pytest.raises(ArithmeticError):
        run(
            Executor(stack, schedule([PROGRAMS[1].path] * 2), use_cache=True), PROMPTS[:2], NEXT[:2]
        )
    handle.remove()
    assert list(stack.model.model.layers) == layers
    assert [layer.self_attn.layer_idx for layer in layers] == list(range(N_LAYERS))
    assert torch.equal(stack.model(tokens, use_cache=False).logits, plain)


def test_a_finished_batch_frees_its_cache_at_once():
    stack = load("llama")
    gc.disable()
    try:
        executor = Executor(stack, schedule([PROGRAMS[0].path]), use_cache=True)
        run(executor, PROMPTS[:1], NEXT[:1])
        cache = weakref.ref(executor._cache)
        del executor
        assert cache() is None
    finally:
        gc.enable()


def test_layers_hooked_by_accelerate_run():
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    expected = run(
        Executor(load("llama"), schedule([PROGRAMS[1].path]), use_cache=True), PROMPTS[:1], NEXT[:1]
    )
    model = build("llama")
    for layer in model.model.layers:
        add_hook_to_module(layer, AlignDevicesHook(execution_device="cpu"))
    executor = Executor(skiploop.load(model), schedule([PROGRAMS[1].path]), use_cache=True)
    assert torch.equal(run(executor, PROMPTS[:1], NEXT[:1]), expected)


def test_a_loop_that_changes_states_between_layers_is_refused():
    executor = Executor(load("llama"), schedule([PROGRAMS[0].path]), use_cache=True)
    states = torch.zeros(1, 2, 32)
    first, second, *_ = executor._model.model.layers
    assert first(states) is states
    with pytest.raises(UnsupportedModelError, match="changes hidden states between"):
        second(states + 0)


def test_a_layer_that_does_not_fill_its_slot_is_refused():
    stack = load("llama")

    def without_cache(module, args, kwargs):
        return args, kwargs | {"past_key_values": None}

    stack.layers[2].register_forward_pre_hook(without_cache, with_kwargs=True)
    with pytest.raises(UnsupportedModelError, match="layer 2 holds 0 of 11 tokens"):
        run(Executor(stack, schedule([PROGRAMS[0].path]), use_cache=True), PROMPTS[:1], NEXT[:1])


def test_arguments_whose_rows_cannot_be_told_apart_are_refused():
    stack = load("llama")
    executor = Executor(stack, schedule([PROGRAMS[0].path, PROGRAMS[1].path]), use_cache=False)
    tokens, mask = pad_left(PROMPTS[:2], torch.device("cpu"))
    with pytest.raises(UnsupportedModelError, match="called with a set"):
        executor._forward(executor._model, tokens, mask, odd={"a", "b"})
    with pytest.raises(UnsupportedModelError, match=r"shape \[8, 1, 11\].* 2 rows"):
        executor._forward(executor._model, tokens, mask, heads_and_rows=torch.zeros(8, 1, 11))
