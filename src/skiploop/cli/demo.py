"""`skiploop demo`: what the shipped policies gain, in minutes, on the packaged model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli import console
from skiploop.cli.demo_full import full
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Threads
from skiploop.cli.options import PATH, Json, SettingOptions
from skiploop.errors import ConfigError

if TYPE_CHECKING:
    from skiploop.runs.demonstration import DemoConfig, GainShown
    from skiploop.runs.session import Run
    from skiploop.tasks.base import Example
    from skiploop.trials.store import Trial

FOLDER = Path("runs/demo")

# Held-out questions that were read before, for cards of policies and in other tables: others
# are asked here.
N_READ_WORDS = 6000
N_READ_ARITHMETIC = 1500

# McNemar's exact test finds a gain such as that on the card with 95 % power, at 2.5 % for each of
# the two tests: 258 of 1,500 fixed and 65 broken need 190 questions, 59 of 365 and 20 need 290
# (tests/unit/test_demo.py). Level 2 is where the card says that arithmetic gains most.
N_WORDS = 190
N_ARITHMETIC = 290
ARITHMETIC_CATEGORY = "level 2"

BUDGET = 36
"""Programs that the live search tries."""

NEXT = """What to type next:
  skiploop generate --policy smollm2-135m/words --ask "plural of mouse"
  skiploop fit --model MODEL --data FILE --out RUN   # your model and questions
  skiploop demo --full                               # the long way, with controls"""


@with_groups
def demo(
    *,
    is_full: Annotated[
        bool, typer.Option("--full", help="The long way: search, train, evaluate with controls.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="--full in two minutes.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--run",
            help="Folder of the runs; the same one resumes. [runs/demo, with --full "
            "runs/demo/full, with --quick too runs/demo/quick]",
            **PATH,
        ),
    ] = None,
    threads: Threads = 1,
    settings: SettingOptions,
    as_json: Json = False,
) -> None:
    """Show what ready-made policies gain on questions that they have never seen.

    SmolLM2-135M answers held-out questions as it is, and with a program chosen for each; then one
    question is searched live. Takes at most three minutes on two processor cores, after the model
    was fetched once. Started again, it goes on where it stopped.

    Example: skiploop demo

    Example: skiploop demo --full --quick
    """
    if is_full:
        folder = out or FOLDER / ("quick" if quick else "full")
        full(quick, folder, threads, settings, as_json)
        return
    of_full = {
        "--quick": quick or None,
        "--seed": settings.seed,
        "--config": settings.config,
        "--set": settings.overrides or None,
    }
    if given := [flag for flag, value in of_full.items() if value is not None]:
        raise ConfigError(f"{', '.join(given)}: only the long way has settings, give --full too")
    _show_gain(out or FOLDER, threads, as_json)


def _show_gain(folder: Path, threads: int, as_json: bool) -> None:
    """Compare every policy, search one question, and tell what came out."""
    from skiploop.cli import demo_words
    from skiploop.shipped import gain_in_words

    console.prepare(threads)
    started = time.perf_counter()
    asked = _asked()
    runs = [_run_of(folder, one) for one in asked]
    found = [_compare(run, one) for run, one in zip(runs, asked, strict=True)]
    console.print_table(demo_words.gains_table(found).transposed())
    print("What the gain is, and is not:")
    for one in asked:
        print(f"- {one.policy}: {gain_in_words(one.policy)}")
    print()
    changed = [answer for comparison in found for answer in comparison.changed]
    console.print_table(demo_words.changed_table(changed))
    print(demo_words.drawings([answer.program for answer in changed]))
    solved = found[-1].solved
    trials = _search(runs[-1], solved) if solved else ()
    if solved:
        print(demo_words.search_text(solved, trials))
    print(NEXT)
    if as_json:
        console.print_json(
            {
                "run": str(folder),
                "comparisons": found,
                "search": demo_words.search_figures(solved, trials),
                "provenance": {run.config.task: run.provenance("demo") for run in runs},
                "timing": {
                    "seconds": time.perf_counter() - started,
                    "peak_memory_bytes": console.peak_memory_bytes(),
                    "answers": {one.policy: one.timing for one in found},
                },
            }
        )


def _asked() -> tuple[DemoConfig, ...]:
    from skiploop.runs.demonstration import DemoConfig

    arithmetic = DemoConfig(
        policy="smollm2-135m/arithmetic",
        limit=N_ARITHMETIC,
        n_read=N_READ_ARITHMETIC,
        category=ARITHMETIC_CATEGORY,
        n_shown=2,
    )
    words = DemoConfig(policy="smollm2-135m/words", limit=N_WORDS, n_read=N_READ_WORDS, n_shown=3)
    return words, arithmetic


def _run_of(folder: Path, config: DemoConfig) -> Run:
    """Return the run of the questions that a policy knows."""
    from skiploop.runs.folder import RunConfig
    from skiploop.runs.ready import origin_of
    from skiploop.runs.session import Run

    origin = origin_of(config.policy)
    form = origin.form
    made = RunConfig(
        model=origin.model, dtype=origin.dtype, task=form.task, options=tuple(form.options)
    )
    return Run.create(folder / form.task, made)


def _compare(run: Run, config: DemoConfig) -> GainShown:
    from skiploop.policies.selector.packed import load_packed
    from skiploop.runs.demonstration import show_gain
    from skiploop.shipped import shipped_policies

    console.say(f"{config.policy}: {config.limit} questions that it has never seen")
    with console.counted(run.folder, config.policy) as progress:
        policy = load_packed(shipped_policies()[config.policy], run.stack, config.policy)
        return show_gain(run, policy, config, progress)


def _search(run: Run, example: Example) -> Sequence[Trial]:
    from skiploop.runs.demonstration import search_one

    console.say(f"searching {BUDGET} programs for one question")
    with console.counted(run.folder, "search", BUDGET + 1) as progress:
        return search_one(run, example, BUDGET, progress)
