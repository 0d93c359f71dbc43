"""Workers: what a second one gains, what handing out costs, and what one trial costs the driver.

    python benchmarks/workers.py --workers 1,2 --repeats 2
    python benchmarks/workers.py --actors 64

A table of the packaged model is made by each number of workers in turn, on warm workers. Where the
machine is shared, wall time says who else is busy, so processor seconds stand beside it: those of
the workers are the work, those of the driver the price. `--actors` keeps so many actors of Ray busy
with jobs that sleep; `--tokens` makes small jobs of a small table.
"""

import contextlib
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measure import arguments, report, spread

import skiploop
from skiploop.backends.base import Backend, Work
from skiploop.backends.tries import Job
from skiploop.engine.tuning import TUNINGS
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.runs.workers import WorkersConfig, start
from skiploop.trials.handing import HandingRunner
from skiploop.trials.plain import trials_out
from skiploop.trials.store import Trial, TrialStore

N_LAYERS = 30
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_gb(process):
    """Return what a process holds alone, and what it shares with others, in GB."""
    kinds = dict.fromkeys(("Private_Clean", "Private_Dirty", "Shared_Clean", "Shared_Dirty"), 0)
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in kinds:
            kinds[name] += int(rest.split()[0]) / 1e6
    return {
        "alone": round(kinds["Private_Clean"] + kinds["Private_Dirty"], 3),
        "shared": round(kinds["Shared_Clean"] + kinds["Shared_Dirty"], 3),
    }


def table(run, backend, examples, programs):
    """Make one table; return wall seconds, processor seconds of workers and driver, verdicts."""
    run.backend = backend
    before = [cpu_seconds(worker.process.pid) for worker in backend._workers.values()]
    driver, started = time.process_time(), time.perf_counter()
    pairs = [(example, program) for example in examples for program in programs]
    trials = run.runner().grade_pairs(pairs)
    wall, driver = time.perf_counter() - started, time.process_time() - driver
    after = [cpu_seconds(worker.process.pid) for worker in backend._workers.values()]
    work = sum(after) - sum(before)
    return wall, work, driver, [trial.correct for trial in trials]


def scaling(options):
    """Return what tables take with each number of workers."""
    if options.tokens:
        TUNINGS["cpu"] = replace(TUNINGS["cpu"], job_tokens=options.tokens)
    sizes = [int(size) for size in options.workers.split(",")]
    figures = {size: [] for size in sizes}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backends = {
            size: stack.enter_context(
                start(WorkersConfig(n_workers=size), device="cpu", memory=None, n_threads=1)
            )
            for size in sizes
        }
        config = RunConfig(options=("level=1,2,3",))
        probe = Run.create(folder / "probe", config)
        examples = probe.task.examples("train", options.questions)
        space = skiploop.ProgramSpace(N_LAYERS)
        programs = [space.sample(seed, n_edits=1) for seed in range(options.programs)]
        verdicts, memory = [], {}
        for turn in range(options.repeats + 1):  # the first one warms up
            for size, backend in backends.items():
                run = Run.create(folder / f"{size}-{turn}", config)
                run.stack = probe.stack
                *seconds, found = table(run, backend, examples, programs)
                verdicts.append(found)
                if turn:
                    figures[size].append(seconds)
                memory[size] = [memory_gb(w.process.pid) for w in backend._workers.values()]
    n_trials = len(verdicts[0])
    return {
        "n_trials": n_trials,
        "verdicts_differing": sum(found != verdicts[0] for found in verdicts),
        "workers": {
            size: {
                "wall_s": spread([one[0] for one in seconds]),
                "cpu_s_of_workers": spread([one[1] for one in seconds]),
                "cpu_s_of_driver": spread([one[2] for one in seconds]),
                "driver_share": round(sum(s[2] for s in seconds) / sum(s[1] for s in seconds), 4),
                "cores_in_use": round(sum(s[1] for s in seconds) / sum(s[0] for s in seconds), 2),
                "memory_gb": memory[size],
            }
            for size, seconds in figures.items()
        },
    }


class Told(Backend):
    """A backend whose answers are there before they are asked for."""

    def __init__(self, parts):
        super().__init__(Work("", {}), n_workers=1)
        self._parts = parts

    def start(self, number, replies):
        raise AssertionError("there is nothing to start")

    def map(self, jobs):
        """Yield the parts, whatever is asked."""
        yield from self._parts


def driver_cost(options):
    """Return microseconds a trial of the store alone, and of all that the driver does."""
    n_trials = options.trials
    space = skiploop.ProgramSpace(N_LAYERS)
    programs = [space.sample(seed, n_edits=2) for seed in range(64)]
    example = skiploop.get_task("arithmetic", level=2).examples("train", 1)[0]
    examples = [type(example)(f"q{i}", f"{i} + 1 =", str(i + 1)) for i in range(-(-n_trials // 64))]
    trials = [
        Trial(one.id, program, False, " 17", "17", "", 2, -1.5, "stop", 64, 40, "float32", -2.5)
        for one in examples
        for program in programs
    ][:n_trials]
    with tempfile.TemporaryDirectory() as folder:
        store = TrialStore(Path(folder) / "store.sqlite")
        started = time.process_time(), time.perf_counter()
        for at in range(0, n_trials, 64):
            store.add(trials[at : at + 64])
        alone = time.process_time() - started[0], time.perf_counter() - started[1]
        store.close()
        parts = [{"trials": trials_out(trials[at : at + 64])} for at in range(0, n_trials, 64)]
        run = Run.create(Path(folder) / "run", RunConfig(options=("level=2",)))
        pairs = [(one, program) for one in examples for program in programs][:n_trials]
        runner = HandingRunner(
            run.stack, run.task, TrialStore(Path(folder) / "all.sqlite"), None,
            backend=Told(parts), about={},
        )  # fmt: skip
        started = time.process_time(), time.perf_counter()
        runner.grade_pairs(pairs)
        whole = time.process_time() - started[0], time.perf_counter() - started[1]
        n_bytes = (Path(folder) / "store.sqlite").stat().st_size
    each = 1e6 / n_trials
    return {
        "n_trials": n_trials,
        "store_us": {"cpu": round(alone[0] * each, 1), "wall": round(alone[1] * each, 1)},
        "driver_us": {"cpu": round(whole[0] * each, 1), "wall": round(whole[1] * each, 1)},
        "bytes_a_trial": round(n_bytes / n_trials),
    }


def busy_actors(options):
    """Return how busy actors of Ray are kept with jobs that sleep."""
    from skiploop.backends.ray import RayBackend

    settings = {"seconds": options.sleep}
    with RayBackend(Work("sleeping:sleeper", settings), n_workers=options.actors) as backend:
        jobs = [Job(str(i), lambda: {}) for i in range(options.actors)]
        heard_of = set()
        while len(heard_of) < options.actors:
            heard_of |= {part["number"] for part in backend.map(jobs)}
        jobs *= options.jobs
        started = time.perf_counter()
        n_done = sum(1 for _ in backend.map(jobs))
        wall = time.perf_counter() - started
    return {
        "n_actors": options.actors,
        "n_jobs": n_done,
        "sleep_s": options.sleep,
        "busy": round(n_done * options.sleep / (options.actors * wall), 4),
    }


def main():
    options = arguments(
        __doc__, workers="1,2", questions=64, programs=48, trials=100_000, tokens=0,
        actors=0, sleep=2.0, jobs=8,
    )  # fmt: skip
    if options.actors:
        figures = {"actors": busy_actors(options)}
        report(options, [str(figures["actors"])], figures)
        return
    figures = {"driver": driver_cost(options), "scaling": scaling(options)}
    lines = [f"driver: {figures['driver']}"]
    lines += [f"{size} workers: {found}" for size, found in figures["scaling"]["workers"].items()]
    figures["load"] = os.getloadavg()
    figures["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    report(options, lines, figures)


if __name__ == "__main__":
    main()
