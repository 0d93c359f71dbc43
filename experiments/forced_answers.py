"""Does a search find a program for any answer, right or wrong?

    PYTHONPATH=benchmarks python experiments/forced_answers.py --dtype bfloat16 --threads 1

Questions that the plain model answers wrong are searched twice: for their right answer, and for
that of another question of the same category, which is another answer. A search that finds programs
for both as often says nothing of what the model knows.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from measure import arguments, load, report
from searchers import SIDES, STEPS, search, solved_percent, wrong_ones

import skiploop
from skiploop.search.campaign import SearchConfig
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore


def others_answers(examples):
    """Return the questions with the next answer of their category in place of their own."""
    by_category = {}
    for example in examples:
        by_category.setdefault(example.category, []).append(example)
    return [
        replace(example, gold=other.gold)
        for some in by_category.values()
        for number, example in enumerate(some)
        for other in [next_other(some, number)]
        if other is not None
    ]


def next_other(examples, number):
    """Return the next question, round and round, with another answer; None if there is none."""
    for other in examples[number + 1 :] + examples[:number]:
        if other.gold != examples[number].gold:
            return other
    return None


def main():
    options = arguments(
        __doc__,
        task="arithmetic",
        level="1,2,3,4,5",
        split="validation",
        questions=64,
        budget=25,
        sides="random-single,bayesian,gradient",
    )
    stack = load(options)
    task = skiploop.get_task(options.task, level=options.level)
    config = SearchConfig(limit=options.questions, budget=options.budget)
    figures, lines = {}, []
    with tempfile.TemporaryDirectory() as folder:
        runner = TrialRunner(stack, task, TrialStore(Path(folder) / "plain.sqlite"))
        right, _ = wrong_ones(runner, task.examples(options.split), options.questions)
    others = others_answers(right)
    if not others:
        raise SystemExit(f"no category has two of {len(right)} questions: give more --questions")
    for what, examples in (("right", right), ("another's", others)):
        for name in options.sides.split(","):
            with tempfile.TemporaryDirectory() as folder:
                runner = TrialRunner(stack, task, TrialStore(Path(folder) / "trials.sqlite"))
                found = search(runner, examples, SIDES[name], config)
            runs = [n or options.budget + 1 for n, _ in found]
            share = solved_percent(runs, [step for step in STEPS if step <= options.budget])
            figures[f"{name}, {what} answer"] = {"questions": len(runs), "found_percent": share}
            lines.append(f"{name + ', ' + what + ' answer':>40} of {len(runs)}: {share}")
    report(options, lines, {"experiment": "forced answers", "found": figures})


if __name__ == "__main__":
    main()
