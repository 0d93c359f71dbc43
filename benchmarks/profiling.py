"""Where the time of a table and of some rows goes: kernels by kind, launches, waits, the host."""

import cProfile
import pstats
import re
from collections import Counter

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
LAUNCHES = re.compile(r"cu(da)?Launch(Cooperative)?Kernel(Ex(C)?)?(_v\d+)?$")
N_SHOWN = 25
N_COLUMNS = 8  # programs of the rows: more make a trace that takes minutes to read


def profile(bench):
    """Print and return where the time goes, once with the device watched and once with Python."""
    sizes = bench.sizes
    task = arithmetic()
    examples = task.examples("train", sizes.questions)
    columns = bench.programs[: min(sizes.columns, N_COLUMNS)]
    questions = prompts(sizes.questions)
    each = [(question, program) for program in columns for question in questions]

    def table():
        skiploop.score_grid(bench.stack, task, examples, bench.programs[: sizes.programs])

    def rows():
        bench.write([q for q, _ in each], [p for _, p in each], sizes.answer)

    return {"table": watched(bench, "table", table), "rows": watched(bench, "rows", rows)}


def watched(bench, name, run):
    """Print and return where the time of one run goes."""
    is_gpu = bench.options.device != "cpu"
    run()  # warm up
    wall = bench.timed(run, 1).best
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    with torch.profiler.profile(activities=activities, acc_events=True) as trace:
        bench.timed(run, 1)
    events = trace.key_averages()
    on_device = [
        event
        for event in events
        if (event.device_type == DeviceType.CUDA) == is_gpu and not event.is_user_annotation
    ]
    seconds = by_kind(on_device, is_gpu)
    n_calls = Counter({event.key: event.count for event in events})
    figures = {
        "wall_s": round(wall, 3),
        "device_s": round(sum(seconds.values()), 3),
        "busy_share": round(sum(seconds.values()) / wall, 3),
        "seconds_by_kind": {kind: round(value, 3) for kind, value in seconds.items()},
        "kernel_launches": sum(n for key, n in n_calls.items() if LAUNCHES.match(key)),
        "graph_launches": n_calls["cudaGraphLaunch"],
        "waits": sum(n for key, n in n_calls.items() if key.endswith("Synchronize")),
        "copies": n_calls["cudaMemcpyAsync"],
        "kernels": largest(on_device, is_gpu) if is_gpu else [],
        "operators": largest([e for e in events if e.device_type == DeviceType.CPU], is_gpu=False),
        "python": by_function(run),
    }
    shown(name, figures)
    return figures


def self_seconds(event, is_gpu):
    return (event.self_device_time_total if is_gpu else event.self_cpu_time_total) / 1e6


def by_kind(events, is_gpu):
    """Return the seconds of kernels, or on a CPU of operators, by kind."""
    seconds = dict.fromkeys(KINDS, 0.0)
    for event in events:
        kind = next(k for k, names in KINDS.items() if re.search(names, event.key.lower()))
        seconds[kind] += self_seconds(event, is_gpu)
    return seconds


def largest(events, is_gpu):
    """Return the events that take most, with their seconds and number."""
    ordered = sorted(events, key=lambda event: self_seconds(event, is_gpu), reverse=True)
    return [
        [event.key[:90], round(self_seconds(event, is_gpu), 4), event.count]
        for event in ordered[:N_SHOWN]
    ]


def by_function(run):
    """Return the functions in which Python spends most, with their seconds and calls."""
    trace = cProfile.Profile()
    trace.runcall(run)
    functions = [
        [f"{file.rpartition('/')[2]}:{line} {name}", round(own, 4), n_calls]
        for (file, line, name), (_, n_calls, own, _, _) in pstats.Stats(trace).stats.items()
    ]
    return sorted(functions, key=lambda function: function[1], reverse=True)[:N_SHOWN]


def shown(name, figures):
    """Print the figures as a table."""
    print(f"\n{name}")
    for key, value in figures.items():
        if not isinstance(value, list):
            print(f"{key:>20}  {value}")
    for key in ("kernels", "operators", "python"):
        print(f"\n{name}: {key}, own seconds, calls")
        for label, seconds, n_calls in figures[key]:
            print(f"{seconds:>10.4f} {n_calls:>9}  {label}")
