"""Searchers against random programs: how many runs until the model is right.

    python benchmarks/searchers.py --task arithmetic --level 2,3,4 --questions 400 --budget 200

On questions that the plain model answers wrong, the same for all: random single edits, random
programs of one to three edits, and every method of `skiploop search`. A table tells what share of
the questions has a right program among the first so many. Interrupted with --store FILE, it goes on
where it stopped.
"""

import random
import tempfile
from pathlib import Path

from measure import arguments, load, report

import skiploop
from skiploop.engine.counters import Work
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.search.methods import METHODS
from skiploop.seeds import derive_seed
from skiploop.stats import mcnemar_exact
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore

STEPS = (5, 10, 25, 50, 100, 200)


def wrong_ones(runner, examples, n):
    """Return the first questions that the plain model answers wrong."""
    plain, wrong = skiploop.Program.identity(runner.stack.n_layers), []
    for start in range(0, len(examples), n):
        some = examples[start : start + n]
        trials = runner.grade_pairs([(example, plain) for example in some])
        wrong += [e for e, trial in zip(some, trials, strict=True) if trial.correct is False]
        if len(wrong) >= n:
            return wrong[:n]
    raise SystemExit(f"{len(wrong)} questions are answered wrong, asked for {n}: lower that")


def drawn(space, example, budget, *, most_edits):
    """Return different random programs of one to so many edits, each number as often."""
    rng = random.Random(derive_seed(0, "searchers", example.id, most_edits))
    programs = {}
    while len(programs) < min(budget, len(space.single_edits)):
        seed, n_edits = rng.getrandbits(48), rng.randint(1, most_edits)
        programs[space.sample(seed, n_edits=n_edits)] = None
    return list(programs)


def main():
    options = arguments(
        __doc__, task="arithmetic", level="2,3,4", questions=64, split="train", budget=200, store=""
    )
    stack = load(options)
    settings = {"level": options.level} if options.task == "arithmetic" else {}
    task = skiploop.get_task(options.task, **settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.store or f"{folder}/trials.sqlite")
        runner = TrialRunner(stack, task, TrialStore(path))
        examples = wrong_ones(runner, task.examples(options.split), options.questions)
        found, work = {}, {}

        def note(name, asked, counted):
            found[name], work[name] = asked, counted

        space = skiploop.ProgramSpace(stack.n_layers)
        for name, most in (("random single edits", 1), ("random 1 to 3 edits", 3)):
            stack.work = Work()
            lists = [drawn(space, e, options.budget, most_edits=most) for e in examples]
            pairs = [(e, p) for e, some in zip(examples, lists, strict=True) for p in some]
            trials = iter(runner.grade_pairs(pairs))
            note(name, [[next(trials).correct for _ in some] for some in lists], stack.work)
        for name in METHODS:
            stack.work = Work()
            one = TrialStore(path.with_suffix(f".{name}.sqlite"))
            config = SearchConfig(limit=len(examples), budget=options.budget, method=name)
            Campaign(TrialRunner(stack, task, one), examples, config, seed=0).search()
            asked = one.asked("search", stack.n_layers)
            note(name, [[t.correct for t in asked[e.id][1:]] for e in examples], stack.work)

    steps = [step for step in STEPS if step <= options.budget]
    solved = {
        name: {step: [any(v is True for v in one[:step]) for one in asked] for step in steps}
        for name, asked in found.items()
    }
    share = {
        name: {step: round(100 * sum(one) / len(one), 1) for step, one in at.items()}
        for name, at in solved.items()
    }
    last = steps[-1]
    against_tree = {
        name: mcnemar_exact(
            sum(a and not b for a, b in zip(at[last], solved["tree"][last], strict=True)),
            sum(b and not a for a, b in zip(at[last], solved["tree"][last], strict=True)),
        )
        for name, at in solved.items()
    }
    figures = {
        "benchmark": "searchers",
        "task": task.name,
        "questions": len(examples),
        "budget": options.budget,
        "solved_percent": share,
        "p_against_tree_at_the_end": against_tree,
        "work": {name: counted.to_json() for name, counted in work.items()},
    }
    lines = [f"{'solved %, after so many runs':>30}" + "".join(f"{step:>8}" for step in steps)]
    lines += [
        f"{name:>30}" + "".join(f"{at[step]:>8}" for step in steps) for name, at in share.items()
    ]
    report(options, lines, figures)


if __name__ == "__main__":
    main()
