"""What all benchmarks here share: repeats with spread, the matrix-product peak, the result line.

Every side of a comparison runs in one process, in turns, with the same number format and threads.
"""

import argparse
import json
import resource
import shlex
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

import skiploop
from skiploop.runs import provenance


def arguments(description, **defaults):
    """Parse the options that every benchmark has, and `--name VALUE` for every default given.

    A default of False makes a switch.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", type=float, help="GB that the engine may use; by default auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the result to this file")
    for name, value in defaults.items():
        kind = {"action": "store_true"} if value is False else {"type": type(value)}
        parser.add_argument(f"--{name}", default=value, **kind)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def in_turns(sides, repeats):
    """Run every side `repeats` times, taking turns; return their seconds by name."""
    seconds = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def must_be_equal(options):
    """Whether any difference between two sides is an error.

    Not in low precision, and not on a GPU, where the shape of a batch changes the last digits.
    """
    return options.dtype == "float32" and options.device == "cpu"


def n_differing(some, others):
    """Return how many entries of two lists differ, as far as the shorter one goes."""
    return sum(one != other for one, other in zip(some, others, strict=False))


def spread(values):
    """Return median, smallest and largest of some values."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def ratio(slow, fast):
    """Return median, smallest and largest of the ratios of two lists of seconds, turn by turn."""
    return spread([one / other for one, other in zip(slow, fast, strict=True)])


def peak_gflops(options, seconds=1.0):
    """Return what a large matrix product reaches here, in GFLOP/s."""
    size = 2048 if options.device == "cpu" else 8192
    kind = {"dtype": getattr(torch, options.dtype), "device": options.device}
    left, right = torch.randn(size, size, **kind), torch.randn(size, size, **kind)
    best = float("inf")
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        at = time.perf_counter()
        (left @ right)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - at)
    return 2 * size**3 / best / 1e9


def layer_flops(stack):
    """Return the floating-point operations of one token in one layer, attention left out."""
    weights = sum(weight.numel() for weight in stack.layers[0].parameters() if weight.ndim > 1)
    return 2 * weights


def peak_memory_gb(options):
    """Return the most memory that this process has held where the model is, in GB."""
    if options.device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def facts(options):
    """Return versions, machine and command."""
    found = provenance.collect(threads=options.threads, dtype=options.dtype)
    if options.device != "cpu":
        found["device"] = torch.cuda.get_device_name()
    found["command"] = shlex.join(["python", *sys.argv])
    return found


def report(options, lines, figures):
    """Print a table, and as the last line everything as JSON."""
    for line in lines:
        print(line)
    today = datetime.now(UTC).date().isoformat()
    result = {"date": today, **figures, "provenance": facts(options)}
    line = json.dumps(result)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(line)


def memory_bytes(options):
    """Return what the engine may use, None for what it takes by itself."""
    return None if options.memory is None else int(options.memory * 1e9)


def load(options):
    """Load the packaged model in the number format and on the device asked for."""
    stack = skiploop.load(
        "smollm2-135m",
        dtype=options.dtype,
        device=options.device,
        memory=memory_bytes(options),
    )
    stack.tokenizer.pad_token = stack.tokenizer.pad_token or stack.tokenizer.eos_token
    return stack
