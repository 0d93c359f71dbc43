"""What does a policy do to questions that it did not learn from?

    PYTHONPATH=benchmarks python experiments/harm_elsewhere.py --policy smollm2-135m/words \
        --form words --tasks "jsonl:next_item.jsonl arithmetic" --limit 200 --threads 1

Each task's first test questions are asked twice, in the task's own prompt and in that of the form,
which the policy learned from: by the plain model, and by the program that the policy chooses.
"""

import torch
from measure import arguments, report

import skiploop
from skiploop import Program
from skiploop.stats import Paired, holm
from skiploop.tasks import get_task
from skiploop.tasks.reframed import ReframedTask
from skiploop.trials.evaluator import Evaluator


def asked(stack, policy, task, limit):
    """Return how many right answers a policy adds to a task and takes from it."""
    evaluator = Evaluator(stack, task)
    examples = task.examples("test")[:limit]
    plain = Program.identity(stack.n_layers)
    chosen = [found[0] for found in policy.rank([task.prompt(one) for one in examples], 1)]
    ways = ([plain] * len(examples), chosen)
    right, ours = (
        [trial.correct for trial in evaluator.grade_pairs(list(zip(examples, way, strict=True)))]
        for way in ways
    )
    return {
        "task": task.name,
        "questions": len(examples),
        "plain_right": right.count(True),
        "other_program": sum(program != plain for program in chosen),
        "paired": Paired.of(zip(ours, right, strict=True)),
    }


def main():
    options = arguments(__doc__, policy="", form="", tasks="", limit=200)
    stack = skiploop.load("smollm2-135m", dtype=options.dtype)
    policy, form = skiploop.load_policy(options.policy, stack), get_task(options.form)
    rows = []
    for name in options.tasks.split():
        task = get_task(name)
        for put in (task, ReframedTask(task, form)):
            with torch.inference_mode():
                rows.append(asked(stack, policy, put, options.limit))
            print(rows[-1], flush=True)
    adjusted = holm([row["paired"].p for row in rows])
    lines = []
    for row, p in zip(rows, adjusted, strict=True):
        paired = row.pop("paired")
        row |= {
            "fixed": paired.only_first,
            "broken": paired.only_second,
            "p": paired.p,
            "p_holm": p,
        }
        lines.append("| " + " | ".join(map(str, row.values())) + " |")
    report(options, lines, {"rows": rows})


if __name__ == "__main__":
    main()
