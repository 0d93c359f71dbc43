"""Where the time of a table and of some rows goes: kernels by kind, launches, waits, the host."""

import cProfile
import pstats
import re
from collections import defaultdict
from typing import NamedTuple

import torch
from sized import arithmetic, prompts
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

import skiploop

KINDS = {  # of kernels on a GPU and of operators on a CPU; the first that fits
    "attention": r"flash|fmha|attention|flex",
    "matrix products": r"gemm|gemv|nvjet|xmma|cutlass|cublas|splitk|triton_\w*mm|"
    r"::(mm|addmm|bmm|linear|matmul)$",
    "compiled": r"triton",
    "copies, cat, index": r"memcpy|memset|copy|catarray|index|gather|scatter|embedding|"
    r"::(cat|clone|stack)$",
    "elementwise, norm": r"elementwise|reduce|norm|softmax|arange|::(add|mul|sub|div|silu)",
    "other": "",
}
LAUNCHES = r"cu(da)?Launch(Cooperative)?Kernel(Ex(C)?)?(_v\d+)?$"
N_SHOWN = 25
N_COLUMNS = 8  # programs of the rows: enough to see where the time goes


class Line(NamedTuple):
    """What one kernel, operator or function took without those that it calls."""

    seconds: float
    n_calls: int
    name: str


def profile(bench):
    """Print and return where the time goes, once with the device watched and once with Python."""
    sizes = bench.sizes
    task = arithmetic()
    examples = task.examples("train", sizes.questions)
    columns = bench.programs[: min(sizes.columns, N_COLUMNS)]
    questions = prompts(sizes.questions)
    their = [program for program in columns for _ in questions]

    def table():
        skiploop.score_grid(bench.stack, task, examples, bench.programs[: sizes.programs])

    def rows():
        bench.write(questions * len(columns), their, sizes.answer)

    return {"table": watched(bench, "table", table), "rows": watched(bench, "rows", rows)}


def watched(bench, name, run):
    """Print and return where the time of one run goes; the wall time is that of another one."""
    run()  # warms up
    wall = bench.timed(run, 1).best
    kernels, operators = by_event(bench, run)
    by_kind = dict.fromkeys(KINDS, 0.0)
    for line in kernels or operators:
        kind = next(k for k, names in KINDS.items() if re.search(names, line.name.lower()))
        by_kind[kind] += line.seconds
    device = sum(by_kind.values())

    def n_calls(pattern):
        return sum(line.n_calls for line in operators if re.search(pattern, line.name))

    figures = {
        "wall_s": round(wall, 3),
        "device_s": round(device, 3),
        "busy_share": round(device / wall, 3),
        "seconds_by_kind": {kind: round(seconds, 3) for kind, seconds in by_kind.items()},
        "kernel_launches": n_calls(LAUNCHES),
        "graph_launches": n_calls("cudaGraphLaunch"),
        "waits": n_calls("Synchronize"),
        "stream_waits": n_calls("cudaStreamSynchronize"),
        "copies": n_calls("cudaMemcpyAsync"),
    }
    largest = {"kernels": kernels, "operators": operators, "python": by_function(run)}
    largest = {kind: sorted(lines, reverse=True)[:N_SHOWN] for kind, lines in largest.items()}
    print(f"\n{name}")
    for key, value in figures.items():
        print(f"{key:>20}  {value}")
    for kind, lines in largest.items():
        print(f"\n{name}: {kind}, own seconds, calls")
        for line in lines:
            print(f"{line.seconds:>10.4f} {line.n_calls:>9}  {line.name[:100]}")
    return {**figures, **largest}


def by_event(bench, run):
    """Return the kernels of the GPU, if there is one, and the operators of the CPU.

    The raw events are read: torch takes minutes to make its own table of half a million.
    """
    activities = [ProfilerActivity.CPU]
    if bench.options.device != "cpu":
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as trace:
        bench.timed(run, 1)
    recorded = trace.profiler.kineto_results.events()
    events = [event for event in recorded if not event.is_user_annotation()]
    on_device = [event for event in events if event.device_type() == DeviceType.CUDA]
    on_host = [event for event in events if event.device_type() == DeviceType.CPU]
    kernels = [(event.name(), event.duration_ns()) for event in on_device]
    return summed(kernels), summed(own_times(on_host))


def own_times(events):
    """Yield the name of each event with its time, and that of the one around it with minus it."""
    around = defaultdict(list)  # by thread, the events that have not ended, outermost first
    for event in sorted(events, key=lambda event: (event.start_ns(), -event.duration_ns())):
        name, start, duration = event.name(), event.start_ns(), event.duration_ns()
        outer = around[event.start_thread_id()]
        while outer and outer[-1][1] <= start:
            outer.pop()
        if outer:
            yield outer[-1][0], -duration
        yield name, duration
        outer.append((name, start + duration))


def summed(times):
    """Return a line for each name. Negative times, of what is within another one, are no calls."""
    seconds, n_calls = defaultdict(float), defaultdict(int)
    for name, nanoseconds in times:
        seconds[name] += nanoseconds / 1e9
        n_calls[name] += nanoseconds >= 0
    return [Line(round(own, 6), n_calls[name], name) for name, own in seconds.items()]


def by_function(run):
    """Return the functions of Python."""
    trace = cProfile.Profile()
    trace.runcall(run)
    return [
        Line(round(own, 6), n_calls, f"{file.rpartition('/')[2]}:{line} {name}")
        for (file, line, name), (_, n_calls, own, _, _) in pstats.Stats(trace).stats.items()
    ]
