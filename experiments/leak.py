"""What a question that stands in training and in test makes of a top-1 gain.

The released search of Program-of-Layers takes the first rows of a level, and a row is a sampled
response: a question has many. Split by position, the same question stands on both sides. Here rows
are drawn with repetition in the same way, beside as many distinct questions; on both, the published
predictor and the selector learn, and a memory of training questions that knows nothing else shows
what the repetition alone is worth. All verdicts are those of the menu of a finished run, whose
programs stand in for those that a search would try: a draw runs no question again.

    skiploop menu build --level 1,2,3,4,5 --limit 5000 --out RUN
    skiploop train --method selector --run RUN
    python experiments/leak.py RUN --out leak.json
"""

import argparse
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from skiploop.jsontext import write_json
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.encoders import make_encoder
from skiploop.policies.polar.policy import PredictorPolicy
from skiploop.policies.polar.targets import QuestionPrograms, build_targets
from skiploop.policies.polar.training import TrainConfig, fit
from skiploop.policies.selector.folds import numbered
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, learn
from skiploop.programs.program import shortest_first
from skiploop.report.words import p_words, paired_words, percent
from skiploop.runs.questions import menu_examples
from skiploop.runs.session import Run
from skiploop.seeds import derive_seed
from skiploop.stats import Paired, Share
from skiploop.trials.score_table import collect

VALIDATION_SHARE = 0.1
HEADER = ("data", "method", "test rows", "plain, %", "right, %", "points (fixed / broken)", "p")


class Encoded:
    """An encoder that encodes every prompt once, whoever asks."""

    def __init__(self, encoder):
        self.spec, self.width, self._encoder, self._known = encoder.spec, encoder.width, encoder, {}

    def encode(self, prompts):
        """Return the encodings of prompts."""
        new = list(dict.fromkeys(prompt for prompt in prompts if prompt not in self._known))
        self._known.update(zip(new, self._encoder.encode(new), strict=True))
        return [self._known[prompt] for prompt in prompts]


class Leak:
    """What a finished run knows: questions, the menu, and all verdicts.

    The questions that chose the programs are left out, and others that are one of those left.
    """

    def __init__(self, run):
        n_raced = run.section("menu", MenuConfig).race_questions
        self.run, self.menu = run, Menu.load(run.folder)
        self.examples = menu_examples(run)
        self.table = collect(run.runner(), self.examples, self.menu.programs)
        first_of = {e.group: i for i, e in reversed(list(enumerate(self.examples)))}
        self.pool = sorted(row for row in first_of.values() if row >= n_raced)
        self.prompts = [run.task.prompt(example) for example in self.examples]
        self.encoder = Encoded(make_encoder(run.stack, text_encoder=None, layer=None))

    def valid(self, question):
        """Return the programs of the menu that answer a question right."""
        right_P = self.table.right_QP[question] == 1
        return tuple(p for p, right in zip(self.table.programs, right_P, strict=True) if right)

    def groups(self, rows):
        """Return what tells which rows are the same question."""
        return [self.examples[row].group for row in rows]

    def verdicts(self, rows, programs):
        """Return whether each program answers the question of its row; those off the menu run."""
        column = {program: number for number, program in enumerate(self.table.programs)}
        pairs = [(self.examples[row], program) for row, program in zip(rows, programs, strict=True)]
        new = [pair for pair in dict.fromkeys(pairs) if pair[1] not in column]
        trials = dict(zip(new, self.run.runner().grade_pairs(new), strict=True))
        return [
            bool(self.table.right_QP[row, column[pair[1]]] == 1)
            if pair[1] in column
            else trials[pair].correct is True
            for row, pair in zip(rows, pairs, strict=True)
        ]

    def predictor(self, rows, seed):
        """Train the published predictor on rows, the last of which choose the epoch."""
        questions = [
            QuestionPrograms(f"row {number}", self.prompts[row], self.valid(row), str(row))
            for number, row in enumerate(rows)
        ]
        n_train = round((1 - VALIDATION_SHARE) * len(rows))
        space = self.run.section("menu", MenuConfig).space(self.run.stack.n_layers)
        config = TrainConfig(seed=seed)
        training, validation = (
            build_targets(some, space, rules=config.targets, seed=seed)[0]
            for some in (questions[:n_train], questions[n_train:])
        )
        prompts = [self.prompts[row] for row in rows]
        encodings = dict(zip(prompts, self.encoder.encode(prompts), strict=True))
        with tempfile.TemporaryDirectory() as out:
            network = fit(
                training, validation, encodings, space=space, config=config, out=Path(out)
            )
        policy = PredictorPolicy(network, self.encoder, space, origin=None)
        return lambda asked: policy.rank([self.prompts[row] for row in asked], 1)

    def selector(self, rows, seed):
        """Train the selector on rows; what it checks itself by goes by the question."""
        return self._selector(rows, seed, self.groups(rows))

    def selector_by_position(self, rows, seed):
        """Train it as if every row was a question of its own, for its own checks, too."""
        return self._selector(rows, seed, [f"row {number}" for number in range(len(rows))])

    def _selector(self, rows, seed, groups):
        table, kept = self.table, list(rows)
        table = replace(
            table,
            example_ids=tuple(f"row {number}" for number in range(len(rows))),
            right_QP=table.right_QP[kept],
            score_QP=table.score_QP[kept],
            weight_Q=table.weight_Q[kept],
            answers=tuple(table.answers[row] for row in rows),
            is_lost=tuple(table.is_lost[row] for row in rows),
        )
        features = self.run.selector.features
        prompts = [self.prompts[row] for row in rows]
        learned = learn(features.of(prompts), table, SelectorConfig(seed=seed), numbered(groups))
        policy = SelectorPolicy(self.menu, features, learned)
        return lambda asked: policy.rank([self.prompts[row] for row in asked], 1)

    def memory(self, rows, seed):
        """Know a right program of every training question, the plain one first; nothing else."""
        plain = self.table.programs[0]

        def plain_first(program):
            return program != plain, shortest_first(program)

        known = {row: min(self.valid(row), key=plain_first, default=plain) for row in rows}
        return lambda asked: [[known.get(row, plain)] for row in asked]


def drawn(pool, options, seed):
    """Return by sort of data the rows to learn from and those to judge on."""
    rng = random.Random(derive_seed(seed, "rows"))
    n_rows = options.train + options.test
    distinct = rng.sample(pool, n_rows)
    repeated = rng.choices(distinct[: options.questions], k=n_rows)
    return {
        "distinct questions": (distinct[: options.train], distinct[options.train :]),
        "rows": (repeated[: options.train], repeated[options.train :]),
    }


def judged(leak, options):
    """Yield after every draw a line for each part of the data and method, over all so far."""
    pairs, groups = {}, {}
    known = {
        "polar": leak.predictor,
        "selector": leak.selector,
        "selector-by-position": leak.selector_by_position,
        "memory": leak.memory,
    }
    methods = {name: known[name] for name in options.methods.split(",")}
    for seed in range(options.draws):
        for data, (train, test) in drawn(leak.pool, options, seed).items():
            seen = set(leak.groups(train))
            plain = leak.verdicts(test, [leak.table.programs[0]] * len(test))
            for name, make in methods.items():
                programs = [ranked[0] for ranked in make(train, seed)(test)]
                ours = leak.verdicts(test, programs)
                for row, pair in zip(test, zip(ours, plain, strict=True), strict=True):
                    is_seen = leak.examples[row].group in seen
                    part = f"{data}: {'also' if is_seen else 'not'} in training"
                    for where in (data, part):
                        pairs.setdefault((where, name), []).append(pair)
                        groups.setdefault((where, name), []).append((seed, row))
            print(f"draw {seed}, {data}: done", flush=True)
        yield [line(*key, found, groups[key]) for key, found in sorted(pairs.items())]


def line(where, name, pairs, groups):
    """Return a line of the table, from pairs of verdicts: with the method, and without."""
    ours, plain = (percent(Share.of(pair[side] for pair in pairs).value) for side in (0, 1))
    paired = Paired.of(pairs, groups)
    return where, name, str(len(pairs)), plain, ours, paired_words(paired), p_words(paired.p)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="with a finished menu and selector")
    parser.add_argument("--train", type=int, default=1250, help="rows to learn from")
    parser.add_argument("--test", type=int, default=500, help="rows to judge on")
    parser.add_argument("--questions", type=int, default=560, help="that the rows are drawn from")
    parser.add_argument("--methods", default="polar,selector,memory")
    parser.add_argument("--draws", type=int, default=3, help="how often all of it is done")
    parser.add_argument("--out", type=Path, default=Path("leak.json"))
    options = parser.parse_args()
    leak = Leak(Run.open(options.run))
    print(f"{len(leak.pool)} questions, {np.shape(leak.table.right_QP)[1]} programs", flush=True)
    told = {name: str(value) for name, value in vars(options).items()}
    lines = []
    for lines in judged(leak, options):
        write_json(options.out, {"header": HEADER, "rows": lines, "options": told})
    print("| " + " | ".join(HEADER) + " |\n|" + "---|" * len(HEADER))
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


if __name__ == "__main__":
    main()
