"""A run on a tiny random model for which choosing pays, made by the command line alone.

Each category of question has the answers that a program of its own picks, so a choice has
something to find. The questions stand in `tests/golden/questions.json`.
"""

import atexit
import functools
import json
import random
import tempfile
from pathlib import Path

import families
import torch
from safetensors.torch import save_file

from skiploop import Program
from skiploop.cli.main import main
from skiploop.policies.flexidepth.network import Skippers

QUESTIONS = Path(__file__).parents[1] / "golden" / "questions.json"
PROGRAMS = {"hen": "identity", "pen": "2:4x2", "tent": "4:5x2"}
"""By category, the program that picks the right answers."""

N_OF_CATEGORY = 100
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def questions():
    """Return questions with choices; the plain model is right on the first category alone."""
    return [line for category in PROGRAMS for line in _of_category(category)]


def _of_category(category):
    stack, program = families.load("llama"), Program.parse(PROGRAMS[category], families.N_LAYERS)
    asked = [f"the {category} {i} on {i * i % 97}?" for i in range(3 * N_OF_CATEGORY)]
    choices = [random.Random(question).sample(_LETTERS, 4) for question in asked]
    prompts = [f"Question: {question}\nAnswer:" for question in asked]
    spaced = [[f" {letter}" for letter in listed] for listed in choices]
    planted = stack.choose(prompts, spaced, program)
    plain = stack.choose(prompts, spaced, Program.identity(families.N_LAYERS))
    return [
        {"question": question, "choices": listed, "answer": one.text.strip(), "category": category}
        for question, listed, one, other in zip(asked, choices, planted, plain, strict=True)
        if program.is_identity or one.text != other.text
    ][:N_OF_CATEGORY]


def command(*arguments):
    """Run one command, which has to succeed."""
    assert main([str(argument) for argument in arguments]) == 0, arguments


@functools.cache
def finished_run():
    """Return a run folder with all that a policy can need; copy it to change it."""
    holder = tempfile.TemporaryDirectory(prefix="skiploop-planted-")
    atexit.register(holder.cleanup)
    folder = Path(holder.name)
    model, run, lines = folder / "model", folder / "run", folder / "questions.jsonl"
    families.build("llama").save_pretrained(model)
    families.tokenizer().save_pretrained(model)
    lines.write_text("".join(f"{json.dumps(line)}\n" for line in json.loads(QUESTIONS.read_text())))
    what = ["--model", model, "--task", f"jsonl:{lines}", "--option", "shots=0", "--out", run]
    command("search", *what, "--method", "tree", "--limit", 8, "--budget", 8)
    menu = [
        "--size",
        5,
        "--race-questions",
        48,
        "--limit",
        180,
        "--first-layer",
        1,
        "--damping-anchor",
        0.5,
    ]
    command("menu", "build", *what, *menu, "--set", "menu.max_block=2")
    command("train", "--run", run, "--epochs", 1, "--batch-size", 32)
    command("train", "--run", run, "--method", "selector")
    return run


@functools.cache
def written_run():
    """Return a run folder with questions whose answers are written, not picked; search alone."""
    holder = tempfile.TemporaryDirectory(prefix="skiploop-written-")
    atexit.register(holder.cleanup)
    model, run = Path(holder.name) / "model", Path(holder.name) / "run"
    families.build("llama").save_pretrained(model)
    families.tokenizer().save_pretrained(model)
    what = ["--model", model, "--task", "arithmetic", "--option", "level=1", "--out", run]
    command("search", *what, "--method", "tree", "--limit", 2, "--budget", 2)
    return run


@functools.cache
def flexidepth_weights():
    """Return a folder with random routers and adapters for the model of these runs."""
    holder = tempfile.TemporaryDirectory(prefix="skiploop-flexidepth-")
    atexit.register(holder.cleanup)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = Skippers.of_second_half(families.load("llama")).weights()
    save_file(weights, Path(holder.name) / "model.safetensors")
    return holder.name
