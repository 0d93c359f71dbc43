"""Tree search: the engine against the same search with Hugging Face `generate`, pair by pair.

    python benchmarks/search.py --dtype float32

Both sides are the same `Campaign` with the same seeds; only the runner differs. The reference is
timed on a few questions, because it is slow; rates are compared. Checks first that both sides give
the same verdicts for the same programs (float32).
"""

import tempfile
import time
from pathlib import Path

from measure import arguments, load, must_be_equal, peak_memory_gb, report
from reference import answers, stop_tokens

import skiploop
from skiploop.engine.counters import Work
from skiploop.search.campaign import Campaign, SearchConfig
from skiploop.search.methods import TREE
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial, TrialStore


class OneByOneRunner(TrialRunner):
    """Evaluates one pair at a time with `generate` on a program view."""

    def grade_pairs(self, pairs, saved=None, *, score_gold=False):
        """Return the trials of some pairs."""
        return [self._one(example, program) for example, program in pairs]

    def _one(self, example, program):
        task = self.task
        (text,) = answers(
            self.stack.view(program),
            self.stack,
            [task.prompt(example)],
            max_new_tokens=task.max_new_tokens,
            ends=self.ends,
        )
        grade = task.grade(example, text)
        trial = Trial(
            example.id, program, grade.correct, text, grade.answer, grade.reason,
            0, 0.0, "stop", 1, 0, "float32",
        )  # fmt: skip
        self.store.add([trial])
        return trial


def main():
    options = arguments(__doc__, questions=64, budget=100, level="1,2,3", few=2)
    stack = load(options)
    task = skiploop.get_task("arithmetic", level=options.level)
    examples = task.examples("train", options.questions)
    config = SearchConfig(limit=options.questions, budget=options.budget, method=TREE)

    def search(runner_class, examples, path):
        runner = runner_class(stack, task, TrialStore(path))
        runner.ends = stop_tokens(stack, "\n")
        started = time.perf_counter()
        Campaign(runner, examples, config, seed=0).search()
        return time.perf_counter() - started, runner.store.asked("search", stack.n_layers)

    few = examples[: options.few]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        rates = []
        for turn in range(options.repeats):
            stack.work = Work()
            engine_s, engine = search(TrialRunner, examples, path / f"engine-{turn}")
            if turn == 0:
                memory = peak_memory_gb(options)
            reference_s, reference = search(OneByOneRunner, few, path / f"reference-{turn}")
            n_engine = sum(map(len, engine.values()))
            n_reference = sum(map(len, reference.values()))
            rates.append((n_engine / engine_s, n_reference / reference_s))
    differing = sum(
        (one.program, one.correct) != (other.program, other.correct)
        for example in few
        for one, other in zip(engine[example.id], reference[example.id], strict=True)
    )
    if must_be_equal(options) and differing:
        raise SystemExit(f"{differing} trials differ from the reference")
    ratios = sorted(one / other for one, other in rates)
    figures = {
        "benchmark": "search",
        "trials": n_engine,
        "trials_compared": n_reference,
        "trials_differing": differing,
        "engine_trials_per_s": [round(one, 2) for one, _ in rates],
        "one_by_one_trials_per_s": [round(other, 2) for _, other in rates],
        "ratio": {
            "median": round(ratios[len(ratios) // 2], 2),
            "min": round(ratios[0], 2),
            "max": round(ratios[-1], 2),
        },
        "peak_memory_gb": round(memory, 2),
        "work": stack.work.to_json(),
    }
    lines = [f"{name:>40}  {value}" for name, value in figures.items()]
    report(options, lines, figures)


if __name__ == "__main__":
    main()
