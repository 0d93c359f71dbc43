"""Searchers against random programs: how many runs until the model is right.

    python benchmarks/searchers.py --level 1,2,3,4,5 --questions 96 --store found.jsonl

On questions that the plain model answers wrong, the same for all: random single edits, random
programs of one to three edits, methods of `skiploop search`, and `bayesian` with skips alone or
with loops alone. The search of a question ends with the first right answer or with the budget.
Questions are searched in blocks, those of a block in the same batches. Every block is a line of
--store: interrupted, the benchmark goes on with the others.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from measure import arguments, load, report

import skiploop
from skiploop.engine.cache.states import StateCache
from skiploop.engine.counters import Work
from skiploop.search.campaign import SearchConfig, seed_of, told_of
from skiploop.search.methods import BAYESIAN, METHODS
from skiploop.seeds import derive_seed
from skiploop.stats import mcnemar_exact
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

STEPS = (5, 10, 25, 50, 100, 200)


class Side(NamedTuple):
    """What proposes programs, in the words of `skiploop.search.methods.Method`."""

    make: Callable
    at_once: int
    scores_gold: bool
    slopes: Callable | None = None


class Drawn:
    """Different random programs of one to so many edits, each number of edits as often."""

    def __init__(self, space, example, most_edits):
        self.space, self.most_edits, self.known = space, most_edits, {}
        self.rng = random.Random(derive_seed(0, "searchers", example.id, most_edits))

    def ask(self, n):
        asked = [skiploop.Program.identity(self.space.n_layers)] if not self.known else []
        self.known |= dict.fromkeys(asked)
        n_all = len(self.space.single_edits) if self.most_edits == 1 else self.space.count()
        while len(asked) < n and len(self.known) <= n_all:
            seed, n_edits = self.rng.getrandbits(48), self.rng.randint(1, self.most_edits)
            program = self.space.sample(seed, n_edits=n_edits)
            asked += [] if program in self.known else [program]
            self.known[program] = None
        return asked

    def tell(self, program, outcome):
        """Learn nothing."""


def random_side(most_edits):
    """Return random programs in the place of a method."""

    def make(runner, example, config, _):
        return Drawn(config.space(runner.stack.n_layers), example, most_edits)

    return Side(make, 8, scores_gold=False)


class OneOperation:
    """The settings of a search whose edits all run a block so many times."""

    def __init__(self, config, runs):
        self.config, self.runs = config, runs

    def space(self, n_layers):
        """Return the layers and the edits, as a search needs them of its space."""
        edits = self.config.space(n_layers).single_edits
        return SimpleNamespace(
            n_layers=n_layers, single_edits=[edit for edit in edits if edit.runs == self.runs]
        )


def one_operation(runs):
    """Return `bayesian` with edits that run a block so many times."""

    method = METHODS[BAYESIAN]

    def make(runner, example, config, seed):
        return method.make(runner, example, OneOperation(config, runs), seed)

    return Side(make, method.at_once, method.scores_gold)


SIDES = {
    "random-single": random_side(1),
    "random-1-to-3": random_side(3),
    "skips": one_operation(0),
    "loops": one_operation(2),
    **{
        name: Side(one.make, one.at_once, one.scores_gold, one.slopes)
        for name, one in METHODS.items()
    },
}


def wrong_ones(runner, examples, n):
    """Return the first questions that the plain model answers wrong, and how many it got right."""
    plain, wrong, n_right = skiploop.Program.identity(runner.stack.n_layers), [], 0
    for start in range(0, len(examples), n):
        some = examples[start : start + n]
        trials = runner.grade_pairs([(example, plain) for example in some])
        for example, trial in zip(some, trials, strict=True):
            wrong += [example] if trial.correct is False else []
            n_right += trial.correct is True
            if len(wrong) == n:
                return wrong, n_right
    raise SystemExit(f"{len(wrong)} questions are answered wrong, asked for {n}: lower that")


def search(runner, examples, side, config):
    """Return for each question how many runs the first right program took, and the program.

    None twice, where the budget or the programs ended first.
    """
    saved = StateCache(runner.stack.memory * 3 // 4, runner.stack.tuning)
    searchers = {e.id: side.make(runner, e, config, seed_of(0, e)) for e in examples}
    n_asked = dict.fromkeys(searchers, -1)  # the identity does not count
    found = {}
    while asks := [
        (example, program)
        for example in examples
        if example.id not in found
        for program in searchers[example.id].ask(
            min(side.at_once, config.budget - n_asked[example.id])
        )
    ]:
        trials = runner.grade_pairs(asks, saved, score_gold=side.scores_gold)
        outcomes = told_of(side.slopes, runner, asks, trials)
        for (example, program), outcome in zip(asks, outcomes, strict=True):
            n_asked[example.id] += 1
            if outcome.correct and n_asked[example.id] and example.id not in found:
                found[example.id] = (n_asked[example.id], str(program))
            searchers[example.id].tell(program, outcome)
    return [found.get(example.id, (None, None)) for example in examples]


def measured(stack, task, examples, name, config):
    """Search one block, and return what was found and what it took."""
    stack.work = Work()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        runner = TrialRunner(stack, task, TrialStore(Path(folder) / "trials.sqlite"))
        found = search(runner, examples, SIDES[name], config)
    return {
        "side": name,
        "budget": config.budget,
        "examples": [example.id for example in examples],
        "runs": [runs for runs, _ in found],
        "programs": [program for _, program in found],
        "processor_seconds": round(time.process_time() - started, 1),
        "work": stack.work.to_json(),
    }


def found_by(blocks, name, budget):
    """Return what one side found for each question: runs and program."""
    return {
        example_id: (runs, program)
        for block in blocks
        if (block["side"], block["budget"]) == (name, budget)
        for example_id, runs, program in zip(
            block["examples"], block["runs"], block["programs"], strict=True
        )
    }


def only(some, others, step):
    """Return how many questions only one and only the other side solves in so many runs."""
    pairs = [(one <= step, other <= step) for one, other in zip(some, others, strict=True)]
    return pairs.count((True, False)), pairs.count((False, True))


def solved_percent(runs, steps):
    """Return the share of searches that ended within so many runs."""
    return {step: round(100 * sum(n <= step for n in runs) / len(runs), 1) for step in steps}


def compared(blocks, names, examples, budget):
    """Return what the sides found on the same questions as figures, and as lines of a table.

    The last side is tested against every other one.
    """
    steps = [step for step in STEPS if step <= budget]
    found = {name: found_by(blocks, name, budget) for name in names}
    runs = {
        name: [found[name][example.id][0] or budget + 1 for example in examples] for name in names
    }
    share = {name: solved_percent(some, steps) for name, some in runs.items()}
    last = names[-1]
    paired = {
        f"{last} against {other} at {step}": {
            "only": (pair := only(runs[last], runs[other], step)),
            "p": mcnemar_exact(*pair),
        }
        for other in names[:-1]
        for step in steps
    }
    took = [
        {key: block[key] for key in ("side", "processor_seconds", "work")}
        | {"questions": len(block["examples"])}
        for block in blocks
        if block["side"] in names and block["budget"] == budget
    ]
    lines = [f"{'solved %, after so many runs':>30}" + "".join(f"{step:>8}" for step in steps)]
    lines += [
        f"{name:>30}" + "".join(f"{at[step]:>8}" for step in steps) for name, at in share.items()
    ]
    figures = {
        "questions": len(examples),
        "budget": budget,
        "solved_percent": share,
        "paired": paired,
        "found": found,
        "took": took,
    }
    return figures, lines


def main():
    options = arguments(
        __doc__,
        task="arithmetic",
        level="1,2,3,4,5",
        split="validation",
        questions=96,
        block=32,
        budget=200,
        sides="random-single,random-1-to-3,tree,bayesian",
        store="",
    )
    stack = load(options)
    settings = {"level": options.level} if options.task == "arithmetic" else {}
    task = skiploop.get_task(options.task, **settings)
    names = options.sides.split(",")
    store = Path(options.store or tempfile.mkstemp()[1])
    done = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        runner = TrialRunner(stack, task, TrialStore(Path(folder) / "trials.sqlite"))
        examples, n_right = wrong_ones(runner, task.examples(options.split), options.questions)
    config = SearchConfig(limit=len(examples), budget=options.budget)
    for name in names:
        known = found_by(done, name, config.budget)
        left = [example for example in examples if example.id not in known]
        for start in range(0, len(left), options.block):
            done.append(measured(stack, task, left[start : start + options.block], name, config))
            with store.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")

    figures, lines = compared(done, names, examples, config.budget)
    about = {
        "benchmark": "searchers",
        "task": task.name,
        "split": options.split,
        "plain_right": n_right,
    }
    report(options, lines, {**about, **figures})


if __name__ == "__main__":
    main()
