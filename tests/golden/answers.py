"""What tiny random models of many families answer under programs."""

import families
from parity import FirstLetterTask, ParityTask

import skiploop
from skiploop import Program, Sampling

FAMILIES = ("llama", "qwen3_moe", "gemma3", "gpt2", "lfm2", "qwen3_5", "falcon_h1")
"""Plain and sparse layers, windows, learned positions, convolutions, and two kinds of states."""

PROGRAMS = (
    "identity",
    "2:3x0",
    "1:3x0 4:5x0",
    "0:1x2",
    "2:5x2",
    "3:4x3",
    "1:2x0 3:5x2",
    "2:4x2~0.5",
)


def verdicts():
    """Return, by family and task, a row of 0, 1 for each question, with a column a program."""
    found = {}
    for family in FAMILIES:
        stack = families.load(family)
        for task in (ParityTask(), FirstLetterTask()):
            examples = task.examples("test", 6)
            grid = skiploop.score_grid(stack, task, examples, _programs(stack))
            found[f"{family}, {task.name}"] = [list(map(int, row)) for row in grid]
    return found


def texts():
    """Return text and log-probability under each program, greedy and drawn, in one batch."""
    found = {}
    prompts = ["the pen on the hen", "2 + 3 = ", "a"]
    for family in FAMILIES:
        stack = families.load(family)
        programs = [program for program in _programs(stack) for _ in prompts]
        rows = prompts * len(PROGRAMS)
        greedy = stack.generate(rows, programs, max_new_tokens=6, stop=["\n"])
        found[family] = [[one.text, one.stopped_by, one.logprob] for one in greedy]
    stack = families.load("llama")
    drawn = stack.generate(
        prompts * 4,
        Program.parse("2:5x2", stack.n_layers),
        max_new_tokens=6,
        sampling=Sampling(temperature=0.8, top_k=20),
        seeds=range(12),
    )
    found["llama, drawn"] = [[one.text, one.stopped_by, one.logprob] for one in drawn]
    return found


def _programs(stack):
    return [Program.parse(text, stack.n_layers) for text in PROGRAMS]
