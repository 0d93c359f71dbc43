"""What a question that stands in training and in test makes of a top-1 gain.

The released search of Program-of-Layers takes the first rows of a level, and a row is a sampled
response: a question has many. Split by position, the same question stands on both sides. Here rows
are drawn with repetition in the same way, beside as many distinct questions; on both, the published
predictor and the selector learn, and a memory of training questions that knows nothing else shows
what the repetition alone is worth.

    python experiments/leak.py --task arithmetic --option level=2,3 --out runs/leak
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from skiploop.config import apply_overrides
from skiploop.evaluation.answering import answer_all
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.jsontext import write_json
from skiploop.menus.menu import MenuConfig
from skiploop.policies.base import Ranked
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.programs.program import Program, shortest_first
from skiploop.report.words import p_words, paired_words, percent
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.methods.make import make_methods
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.search.methods import TREE
from skiploop.stats import Paired, Share
from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.base import Example, Task, take

LEARNED = ("polar", "selector")
HEADER = ("data", "method", "test rows", "plain, %", "right, %", "points (fixed / broken)", "p")


class RowsTask:
    """The questions of a task, as rows that are split by their position.

    Args:
        task: Gives prompts and verdicts.
        train: Rows to learn from.
        test: Rows to judge on.
    """

    def __init__(self, task: Task, train: Sequence[Example], test: Sequence[Example]) -> None:
        self._task = task
        self._splits = {"train": train, "validation": [], "test": test}
        self.name, self.version = f"rows of {task.name}", task.version
        self.stop, self.max_new_tokens = task.stop, task.max_new_tokens
        self.prompt, self.grade, self.grade_many = task.prompt, task.grade, task.grade_many
        self.draft, self.can_only_be_wrong = task.draft, task.can_only_be_wrong

    def examples(self, split, limit=None):
        """Return the first rows of a split."""
        return take(self._splits[split], split, limit, self.name)


class Memory:
    """Runs for a training question the shortest program that was right; else the plain model."""

    name = "memory"

    def __init__(self, run):
        identity = Program.identity(run.stack.n_layers)
        trials = run.store.asked("search", identity.n_layers)
        self._identity = identity
        self._known = {}
        for example in run.task.examples("train"):
            found = [
                pipeline.reporting.verdict(one, identity.n_layers) for one in trials[example.id]
            ]
            right = sorted((p for p, correct in found if correct), key=shortest_first)
            if right and identity not in right:
                self._known[run.task.prompt(example)] = right[0]

    def rank(self, prompts, k):
        """Return one program a prompt."""
        return [[self._known.get(prompt, self._identity)] for prompt in prompts]


def draw(task, options):
    """Return the rows of both sorts of data, for training and for test."""
    everything = [example for split in SPLITS for example in task.examples(split)]
    rng = random.Random(options.seed)
    rng.shuffle(everything)
    n_rows = options.train + options.test
    distinct = list({example.group: example for example in everything}.values())[:n_rows]
    repeated = rng.choices(distinct[: options.questions], k=n_rows)
    drawn = {"distinct questions": distinct, "rows": repeated}
    rows = {name: [_row(e, i) for i, e in enumerate(found)] for name, found in drawn.items()}
    return {name: (one[: options.train], one[options.train :]) for name, one in rows.items()}


def _row(example, number):
    return replace(example, id=f"row {number}: {example.id}")


def learn(run, options):
    """Search, train the published predictor, make a menu, and train the selector."""
    search = SearchConfig(limit=options.train, budget=options.budget, method=TREE)
    pipeline.search(run, search)
    pipeline.train(run, TrainConfig(epochs=options.epochs))
    raced = max(options.train // 4, 1)
    pipeline.menu(run, MenuConfig(limit=options.train, race_questions=raced, size=options.size))
    pipeline.train_on_menu(run, SelectorConfig())


def judged(run, name, train, test):
    """Return the lines of the table: all test rows, those seen in training, and the others."""
    methods = [*make_methods([REFERENCE, *LEARNED], run), Ranked(Memory(run))]
    verdicts = {}
    for record in answer_all(methods, test, run.runner()):
        verdicts.setdefault(record.policy, {})[record.example_id] = record.correct
    known = {example.group for example in train}
    parts = {
        name: test,
        f"{name}: also in training": [e for e in test if e.group in known],
        f"{name}: not in training": [e for e in test if e.group not in known],
    }
    for part, examples in parts.items():
        for method in (*LEARNED, "memory"):
            pairs = [(verdicts[method][e.id], verdicts[REFERENCE][e.id]) for e in examples]
            yield part, method, Paired.of(pairs, [e.group for e in examples]), pairs


def cells(part, method, paired, pairs):
    """Return one line in words."""
    ours, plain = (Share.of(pair[side] for pair in pairs) for side in (0, 1))
    shares = percent(plain.value), percent(ours.value)
    return part, method, str(len(pairs)), *shares, paired_words(paired), p_words(paired.p)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", default="arithmetic")
    parser.add_argument("--option", action="append", default=[], help="of the task, as KEY=VALUE")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--train", type=int, default=1250, help="rows to learn from")
    parser.add_argument("--test", type=int, default=500, help="rows to judge on")
    parser.add_argument("--questions", type=int, default=560, help="that the rows are drawn from")
    parser.add_argument("--budget", type=int, default=100, help="programs tried for each row")
    parser.add_argument("--size", type=int, default=24, help="programs on the menu")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/leak"))
    options = parser.parse_args()
    task = get_task(options.task, **apply_overrides({}, options.option))
    lines = []
    for name, (train, test) in draw(task, options).items():
        config = RunConfig(
            model=options.model,
            dtype=options.dtype,
            task=options.task,
            options=tuple(options.option),
            seed=options.seed,
        )
        run = Run.create(options.out / name.replace(" ", "-"), config, device=options.device)
        run.task = RowsTask(task, train, test)
        learn(run, options)
        lines += [cells(*line) for line in judged(run, name, train, test)]
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))
    write_json(options.out / "leak.json", {"header": HEADER, "rows": lines})


if __name__ == "__main__":
    main()
