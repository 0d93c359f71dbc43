"""Layers whose parts are compiled: what they write, how often they compile, what they refuse."""

import logging
import threading
from dataclasses import replace

import pytest
import torch
from families import N_LAYERS, build, load
from parity import FirstLetterTask
from torch import nn

import skiploop
from skiploop import Program, ProgramSpace
from skiploop.engine.forward import parts as parts_module
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.fused import fused
from skiploop.engine.forward.parts import Parts
from skiploop.engine.plan.schedule import schedule
from skiploop.engine.tuning import CPU

PROGRAMS = [
    Program.parse(text, N_LAYERS)
    for text in ("identity", "1:3x2", "0:2x0 3:6x3", "2:3x0 5:6x0", "2:4x3~0.5", "0:6x2")
]
PROMPTS = [
    "one and the same start, " + end for end in ("12+7=", "a", "hello there", "9", "b?", "-")
]
FAMILIES = [
    "llama",
    "qwen3",
    "gemma3",
    "gemma2",
    "phi3",
    "olmo2",
    "mistral",
    "gpt_neox",
    "qwen3_moe",
    "lfm2",
    "falcon_h1",
]


class Compiler:
    """Counts what it is asked to compile, and runs the graphs as they are."""

    def __init__(self):
        self.n_graphs = 0

    def __call__(self, graph, examples):
        self.n_graphs += 1
        return graph


def fusing(stack, compiler, patience=0):
    """Let a stack compile on the CPU; return the stack."""
    stack.parts = Parts(replace(CPU, patience=patience), compiler)
    return stack


def written(stack, prompts=PROMPTS, programs=PROGRAMS):
    completions = stack.generate(prompts, programs, max_new_tokens=8)
    return [completion.token_ids for completion in completions]


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_layers_write_what_layers_write_and_compile_a_few_times(family):
    expected = written(load(family))
    compiler = Compiler()
    stack = fusing(load(family), compiler)
    assert written(stack) == expected
    one = written(stack, PROMPTS[:1], PROGRAMS[:1])
    n_graphs = compiler.n_graphs
    assert 0 < n_graphs <= 10
    assert one == expected[:1]
    assert written(stack, PROMPTS[2:], PROGRAMS[2:]) == expected[2:]
    assert compiler.n_graphs == n_graphs


def test_norms_rotary_embeddings_and_feed_forward_parts_are_compiled():
    stack = load("llama")
    (layer,) = fused(stack.layers[:1], Parts(compiler=Compiler()))
    changed = {name for name, part in layer.named_modules() if "forward" in vars(part)}
    assert changed == {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
    assert not any("forward" in vars(part) for part in stack.layers[0].modules())
    assert layer.mlp.up_proj is stack.layers[0].mlp.up_proj


def test_a_table_has_the_same_verdicts():
    task = FirstLetterTask()
    edits = ProgramSpace(N_LAYERS).edits(Program.identity(N_LAYERS))
    programs = [Program(N_LAYERS, (edit,)) for edit in edits][::3]
    tables = [
        skiploop.score_grid(stack, task, task.examples("train", 5), programs)
        for stack in (load("llama"), fusing(load("llama"), Compiler()))
    ]
    assert tables[0].tolist() == tables[1].tolist()


def test_threads_that_share_a_stack_compile_once():
    expected = written(load("llama"))
    compiler = Compiler()
    stack = fusing(load("llama"), compiler)
    found = {}

    def work(index):
        found[index] = written(stack)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(4)] == [expected] * 4
    assert compiler.n_graphs <= 6


def test_what_cannot_be_compiled_runs_as_it_is_with_one_line_for_each_way(caplog):
    def broken(graph, examples):
        raise RuntimeError("no compiler here")

    expected = written(load("llama"))
    stack = fusing(load("llama"), broken)
    with caplog.at_level(logging.INFO, "skiploop"):
        assert written(stack) == written(stack) == expected
    lines = [line for line in caplog.messages if "no compiler here" in line]
    assert 3 <= len(lines) <= 6
    assert any("LlamaMLP" in line for line in lines)


def test_what_compiles_to_other_numbers_runs_as_it_is():
    def wrong(graph, examples):
        return lambda *inputs: [1.01 * output for output in graph(*inputs)]

    assert written(fusing(load("llama"), wrong)) == written(load("llama"))


def test_a_part_that_looks_at_other_tokens_runs_as_it_is():
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

        def forward(self, states):
            return self.weight * (states - states.mean(1, keepdim=True))

    compiler, plain = Compiler(), Centred()
    (layer,) = fused([plain], Parts(compiler=compiler))
    states = torch.randn(3, 5, 4)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(layer(states), plain(states))
    assert compiler.n_graphs <= 1


class Scaled(nn.Module):
    """A norm of a kind of its own, by its setting."""

    def __init__(self, scale, size=4):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, states):
        return self.scale * self.weight * states


def test_modules_that_differ_in_a_setting_do_not_share_a_part():
    plain = [Scaled(1.0), Scaled(1.5), Scaled(1.0)]
    compiler = Compiler()
    layers = fused(plain, Parts(compiler=compiler))
    states = torch.randn(3, 5, 4)
    with torch.no_grad():
        for _ in range(2):
            for layer, module in zip(layers, plain, strict=True):
                assert torch.equal(layer(states), module(states))
    assert compiler.n_graphs == 2


def test_a_model_whose_parts_all_differ_is_not_compiled_for_ever():
    plain = [Scaled(float(scale)) for scale in range(20)]
    compiler = Compiler()
    layers = fused(plain, Parts(compiler=compiler))
    states = torch.randn(3, 5, 4)
    with torch.no_grad():
        for layer, module in zip(layers, plain, strict=True):
            assert torch.equal(layer(states), module(states))
    assert compiler.n_graphs == CPU.most_parts


@pytest.mark.parametrize("shape", [(0, 5, 4), (1, 1, 4), (2, 0, 4), (7, 4), (2, 3, 5, 4)])
def test_states_of_any_shape_go_through_a_part(shape):
    (layer,) = fused([Scaled(2.0)], Parts(compiler=Compiler()))
    states = torch.randn(shape)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(layer(states), 2 * states)


def test_another_number_format_is_another_way_to_call_a_part():
    compiler = Compiler()
    parts = Parts(compiler=compiler)
    with torch.no_grad():
        for dtype in (torch.float32, torch.bfloat16, torch.float32):
            states = torch.randn(3, 5, 4, dtype=dtype)
            (layer,) = fused([Scaled(2.0).to(dtype)], parts)
            for _ in range(2):
                assert torch.equal(layer(states), 2 * states)
                assert layer(states).dtype is dtype
    assert compiler.n_graphs == 2


def test_tensors_that_kernels_cannot_count_in_32_bits_run_as_they_are(monkeypatch):
    monkeypatch.setattr(parts_module, "MOST_NUMBERS", 40)
    compiler = Compiler()
    (layer,) = fused([Scaled(2.0)], Parts(compiler=compiler))
    states = torch.randn(11, 4)
    with torch.no_grad():
        assert torch.equal(layer(states), 2 * states)
        assert compiler.n_graphs == 0
        layer(states[:10])
    assert compiler.n_graphs == 1


def test_gradients_are_those_of_the_module():
    (layer,) = fused([Scaled(2.0)], Parts(compiler=Compiler()))
    layer(torch.ones(3, 4)).sum().backward()
    assert layer.weight.grad.tolist() == [6.0] * 4


@pytest.mark.parametrize("name", ["mlp", "mlp.up_proj", "input_layernorm"])
def test_hooks_still_run(name):
    stack, seen = load("llama"), []
    stack.layers[0].get_submodule(name).register_forward_hook(lambda *_: seen.append(1))
    (layer,) = fused(stack.layers[:1], Parts(compiler=Compiler()))
    with torch.no_grad():
        for _ in range(2):
            layer.get_submodule(name.split(".")[0])(torch.ones(3, 32))
    assert seen == [1, 1]


def test_parts_whose_forward_pass_is_replaced_stay_as_they_are(monkeypatch):
    layers = load("llama").layers
    monkeypatch.setattr(layers[0].mlp, "forward", layers[0].mlp.forward)
    (layer,) = fused(layers[:1], Parts(compiler=Compiler()))
    assert layer.mlp is layers[0].mlp


def test_nothing_is_compiled_on_a_cpu_nor_for_exactness_nor_before_it_pays():
    def layers(stack):
        return Executor(stack, schedule([range(N_LAYERS)]), use_cache=True).layers

    def are_fused(stack):
        return "forward" in vars(layers(stack)[0].mlp)

    stack = load("llama")
    stack.parts.note_call(10**9, 1)
    assert not are_fused(stack)
    stack = fusing(load("llama"), Compiler(), patience=5_000)
    assert not are_fused(stack)
    stack.parts.note_call(1, 1)  # counts as 2,000 tokens
    stack.parts.note_call(1, 1)
    assert not are_fused(stack)
    stack.parts.note_call(10, 100)
    assert are_fused(stack)
    exact = skiploop.LayerStack(build("llama"), None, name="exact", exact=True)
    assert not are_fused(fusing(exact, Compiler()))


def test_resetting_the_counts_of_work_does_not_start_the_wait_again():
    stack = fusing(load("llama"), Compiler(), patience=20_000)
    written(stack)
    assert stack.parts.pay
    stack.work = type(stack.work)()
    assert stack.parts.pay
