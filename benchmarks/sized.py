"""A random model of some shape, how much is run on it, and what all measures of it share."""

import argparse
import random
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from measure import memory_bytes, must_be_equal
from shapes import random_model, tokenizer

import skiploop
from skiploop import Program, ProgramSpace
from skiploop.engine.forward.parts import Parts


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Attributes:
        questions, programs: Of the table.
        columns: Programs that each of as many questions writes `answer` tokens under.
        answer: New tokens of these.
        tokens: New tokens everywhere else.
        rows: Of the plain model.
        mixed, many: Rows with programs of their own.
        exact: Questions and programs that float32 is compared on.
        sample: One in so many programs or rows is run by the sides that are slow.
    """

    questions: int = 64
    programs: int = 64
    columns: int = 32
    answer: int = 50
    tokens: int = 64
    rows: tuple[int, ...] = (1, 32, 256)
    mixed: int = 32
    many: int = 256
    exact: int = 16
    sample: int = 8


SMALL = Sizes(
    questions=32,
    programs=32,
    columns=4,
    answer=20,
    tokens=16,
    rows=(1, 8, 32),
    mixed=8,
    many=32,
    exact=8,
    sample=4,
)


class Turns(NamedTuple):
    """Seconds of each of some runs, and what the last one returned."""

    seconds: list
    result: object

    @property
    def best(self):
        return min(self.seconds)


@dataclass(frozen=True)
class Bench:
    """What all measures share.

    Attributes:
        options: The command line.
        sizes: How much is run.
        stack: The model.
        programs: Single edits in random order.
    """

    options: argparse.Namespace
    sizes: Sizes
    stack: skiploop.LayerStack
    programs: list

    def timed(self, run, repeats=None):
        """Run something some times, each time until the device has nothing left to do."""
        seconds = []
        for _ in range(repeats or self.options.repeats):
            started = time.perf_counter()
            result = run()
            if self.options.device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        return Turns(seconds, result)

    def peer(self, run):
        """Run the other side of a comparison, which is slow, as often as asked for."""
        return self.timed(run, self.options.peers)

    def sample(self, values):
        """Return the first ones of some values, for sides that are slow."""
        return values[: max(len(values) // self.sizes.sample, 1)]

    def write(self, prompts, programs, n_new):
        """Return the tokens that the engine writes."""
        return [c.token_ids for c in self.stack.generate(prompts, programs, max_new_tokens=n_new)]

    def alike(self, programs):
        """Return one program of about as many layer passes as some have on average."""
        n_layers = self.stack.n_layers
        n_more = max(round(mean_slots(programs) - n_layers), 1)
        first = n_layers // 3
        return Program.parse(f"{first}:{first + n_more}x2", n_layers)

    def must_agree(self, n_differing, what):
        """End everything where rounding is no excuse."""
        if n_differing and must_be_equal(self.options):
            raise SystemExit(f"{n_differing} {what} differ from the reference")


def make_stack(options, dtype):
    """Return a stack of a random model that nothing has run on, but the check at load."""
    model = random_model(options.shape, dtype, options.device)
    stack = skiploop.load(model, tokenizer=tokenizer(options.shape), memory=memory_bytes(options))
    stack.name = options.shape
    if stack.device.type == "cuda":  # compiles at once: the start pays, all else is warm
        stack.parts = Parts(replace(stack.tuning, patience=0))
    return stack


def make_bench(options):
    """Return a stack of the shape asked for, and the programs for it."""
    stack = make_stack(options, options.dtype)
    identity = Program.identity(stack.n_layers)
    edits = ProgramSpace(stack.n_layers).edits(identity)
    random.Random(0).shuffle(edits)
    programs = [Program(stack.n_layers, (edit,)) for edit in edits]
    return Bench(options, SMALL if options.shape == "tiny" else Sizes(), stack, programs)


def arithmetic():
    """Return the task of the tables."""
    return skiploop.get_task("arithmetic", level="1,2,3")


def prompts(n):
    """Return word problems of 100 to 130 bytes, so tokens, about a quarter of them alike.

    The published prompt has as many tokens in a vocabulary of words.
    """
    rng = random.Random(0)
    texts = []
    for _ in range(n):
        who, what = rng.choice(("Ann", "Robert", "Mrs Miller")), rng.choice(("pens", "red marbles"))
        a, b, c = (rng.randint(2, 9999) for _ in range(3))
        question = f"{who} has {a} {what} and buys {b} boxes of {c}. How many {what} are there now?"
        texts.append(f"Solve it, box the answer.\n\n{question}\nAnswer:")
    return texts


def mean_slots(programs):
    """Return the layer passes of one token, on average over some programs."""
    return sum(program.n_slots for program in programs) / len(programs)
