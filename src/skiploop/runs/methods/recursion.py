"""Block-level recursion with a router: the selector, on every program that repeats one block.

Source: block-level recursion (openreview hLFRcxXKxY), whose router learns from all such programs on
all questions; here the regression of the selector is the router.
"""

from __future__ import annotations

import hashlib

from skiploop.errors import DataError
from skiploop.menus.menu import Menu
from skiploop.policies.base import Policy
from skiploop.policies.rys import one_block_repeats
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import MIN_QUESTIONS, load_selector, train_selector
from skiploop.programs.program import Program
from skiploop.runs.methods.kept import Found, kept
from skiploop.runs.methods.make import Asked, ranked
from skiploop.runs.questions import unseen_examples
from skiploop.tasks.base import Example
from skiploop.trials.score_table import collect

N_ASKED = 200
"""Training questions at most that all programs answer."""

_NAME = "recursion"


@ranked
def recursion(asked: Asked) -> Policy:
    """Train the selector on all programs that repeat one block of any length.

    Raises:
        DataError: There are too few training questions, or too little to learn from.
    """
    run = asked.run
    examples = run.task.examples("train")[:N_ASKED]
    if len(examples) < MIN_QUESTIONS:
        raise DataError(
            f"{asked.name}: {run.task.name} has {len(examples)} training questions, too few to "
            f"learn a choice from: give {MIN_QUESTIONS} or more"
        )
    told = hashlib.sha256("\n".join(example.id for example in examples).encode())
    settings = {"questions": told.hexdigest()[:16], "seed": run.config.seed}
    kept(run, _NAME, settings, lambda known: known or _learn(asked, examples))
    policy = load_selector(run.folder / "methods" / _NAME, run.stack)
    policy.name = asked.name
    return policy


def _learn(asked: Asked, examples: list[Example]) -> Found:
    """Let all programs answer all questions, and learn from that."""
    run, n_layers = asked.run, asked.run.stack.n_layers
    programs = (Program.identity(n_layers), *one_block_repeats(n_layers))
    table = collect(run.runner(asked.progress), examples, programs)
    # Programs repeat the first layer too, so no layer comes before all choices.
    config = SelectorConfig(layer=max(1, n_layers // 4), seed=run.config.seed)
    policy = train_selector(
        run.stack,
        Menu(programs, run.stack.model_id, gains=()),
        [run.task.prompt(example) for example in examples],
        table,
        config,
        [example.group for example in examples],
        unseen=[run.task.prompt(example) for example in unseen_examples(run, examples)],
    )
    policy.save(run.folder / "methods" / _NAME)
    return {"n_questions": len(examples), "n_programs": len(programs)}
