"""The searches of a run as jobs of workers: a few questions each, which share batches."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.backends.base import Backend
from skiploop.backends.tries import Job
from skiploop.config import to_dict
from skiploop.programs.program import Program
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import Example
from skiploop.trials.plain import examples_out, trials_in
from skiploop.trials.progress import Progress


def search_by_workers(
    run: Run,
    backend: Backend,
    examples: Sequence[Example],
    config: SearchConfig,
    progress: Progress | None = None,
) -> None:
    """Search questions and run their chance control, as a `Campaign` does in one process.

    What is known of a question goes with its job, so a search that was interrupted goes on where it
    stopped, by workers or without them.

    Raises:
        JobsFailedError: Some searches failed.
    """
    store, n_layers = run.store, run.stack.n_layers
    size = run.stack.tuning.job_questions
    blocks = [examples[start : start + size] for start in range(0, len(examples), size)]

    def job(block: Sequence[Example]) -> Job:
        def asked() -> dict[str, object]:
            return {
                **run.about,
                "do": "search",
                "config": to_dict(config),
                "examples": examples_out(block),
                "known": store.rows_about(example.id for example in block),
            }

        return Job(f"the search of {block[0].id} to {block[-1].id}", asked)

    told = set()
    for part in backend.map([job(block) for block in blocks]):
        trials = trials_in(part.get("trials", ()), n_layers)
        store.add(trials)
        for source, example_id, step, program in part.get("asks", ()):
            asked_for = (example_id, step, Program.parse(program, n_layers))
            store.add_asks(source, [asked_for])
        new = [one for one in trials if (one.example_id, one.program) not in told]
        told |= {(one.example_id, one.program) for one in new}
        if new and progress:
            progress(new)
