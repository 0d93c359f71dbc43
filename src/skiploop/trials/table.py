"""A dense table: every question under every program."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from skiploop.arguments import instance, listed
from skiploop.models.identity import check_model
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task
from skiploop.trials.progress import Progress
from skiploop.trials.recheck import recheck
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import TrialStore


def score_grid(
    stack: LayerStack,
    task: Task,
    examples: Sequence[Example],
    programs: Sequence[Program],
    *,
    path: Path | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Judge every question under every program.

    Args:
        stack: The frozen model.
        task: Gives prompts and verdicts.
        examples: The rows of the table.
        programs: The columns of the table.
        path: A file that keeps the trials. The same call with the same file goes on where it was
            interrupted, and a larger table runs only what is new. Without it nothing is kept.
        progress: Called with the trials that were graded together.

    Returns:
        verdicts: [n_examples, n_programs] objects: True, False, or None where an answer could not
            be graded.

    Raises:
        RunError: The file holds trials of another model, number format or task, or verdicts that
            do not hold with the versions and the device of today.
        BatchError: An argument is of another type.
        ProgramError: A program was made for another number of layers.

    Cost:
        Linear in questions and in programs. Programs that start with the same layers, and prompts
        that start with the same tokens, share that work.
    """
    instance("task", task, Task, expected="a Task, such as get_task('arithmetic')")  # type: ignore[type-abstract]
    examples = [
        instance("examples", one, Example, expected="Examples, such as task.examples('test')")
        for one in listed("examples", examples, of="Examples")
    ]
    programs = [stack.check(one) for one in listed("programs", programs, of="programs")]
    pairs = [(example, program) for example in examples for program in programs]
    with closing(TrialStore(path or Path(":memory:"))) as store:
        store.verify()
        made_for = store.note("weights", stack.model_id)
        remedy = "use another file"
        check_model(made_for, stack, f"{store.path} holds trials with", remedy)
        store.bind(
            {
                "dtype": str(stack.dtype).removeprefix("torch."),
                "task": f"{task.name} version {task.version}",
            }
        )
        recheck(stack, task, store, remedy=remedy, examples=examples)
        trials = TrialRunner(stack, task, store, progress).grade_pairs(pairs)
    verdicts = np.array([trial.correct for trial in trials], dtype=object)
    return verdicts.reshape(len(examples), len(programs))
