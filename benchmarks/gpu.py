"""The engine at the size that people use, against Hugging Face `generate` in the same process.

    python benchmarks/gpu.py --shape llama-3.2-3b --device cuda --dtype bfloat16
    python benchmarks/gpu.py --shape tiny --profile  # everything in small, on a CPU

The weights are random (shapes.py), so nothing is fetched and every verdict is False: texts and
tokens are compared too. `--only table,rows` measures some; `--profile` adds where the time goes,
and with `--only ""` it is all that is shown.
Figures are printed as lines of JSON as they come, the last line holds all of them. Sides that are
slow run on a sample of the programs or rows, and the figures say on how many. Rates are of the
fastest turn.
"""

import json
import time
import traceback

from measure import arguments, facts, report
from profiling import profile
from shapes import SHAPES
from sized import make_bench
from verdicts import float32, start, table
from writing import mixed32, mixed256, plain, rows

MEASURES = {  # in this order: the start is cold, and float32 takes most memory
    "start": start,
    "table": table,
    "rows": rows,
    "plain": plain,
    "mixed32": mixed32,
    "mixed256": mixed256,
    "float32": float32,
}
AIMS = [  # measure, figure, what is wanted at least (or most), what is aimed at
    ("table", "share_of_peak", ">= 0.30", ">= 0.50"),
    ("table", "over_one_program_at_a_time", ">= 12", ">= 25"),
    ("rows", "over_one_program_at_a_time", ">= 15", ">= 30"),
    ("plain", "ms_a_token_over_limit_1", "<= 1.8", "<= 1.3"),
    ("mixed32", "over_one_program", ">= 0.8", ">= 0.95"),
    ("mixed256", "over_generate", ">= 1.5", ">= 3"),
    ("float32", "verdicts_differing", "<= 0", "<= 0"),
    ("start", "seconds", "<= 20", "<= 5"),
]


def main():
    options = arguments(
        __doc__, shape="llama-3.2-3b", only=",".join(MEASURES), peers=1, profile=False
    )
    names = [name for name in options.only.split(",") if name]
    if options.shape not in SHAPES:
        raise SystemExit(f"--shape {options.shape}: give one of {', '.join(SHAPES)}")
    if unknown := {*names} - {*MEASURES}:
        raise SystemExit(f"--only {','.join(sorted(unknown))}: give some of {','.join(MEASURES)}")
    show("provenance", facts(options))
    started = time.perf_counter()
    bench = make_bench(options)
    figures = {"shape": options.shape, "made_and_checked_s": seconds_since(started)}
    measures = {name: run for name, run in MEASURES.items() if name in names}
    if options.profile:
        measures["profile"] = profile
    for name, run in measures.items():
        started = time.perf_counter()
        try:
            figures[name] = run(bench)
        except Exception as error:  # noqa: BLE001  the other measures are still worth having
            traceback.print_exc()
            figures[name] = {"error": f"{type(error).__name__}: {error}"}
        figures[name]["took_s"] = seconds_since(started)
        show(name, figures[name])
    lines = [
        f"{measure:>10} {figure:<28} {figures[measure].get(figure, 'failed'):>8}"
        f"  wanted {wanted}, aim {aim}"
        for measure, figure, wanted, aim in AIMS
        if measure in figures
    ]
    report(options, lines, {"benchmark": "gpu", **figures})
    if failed := [name for name in measures if "error" in figures[name]]:
        raise SystemExit(f"failed: {', '.join(failed)}")


def show(name, figures):
    """Print the figures of one measure, so that they are there if a later one is cut off."""
    print(json.dumps({name: figures}), flush=True)


def seconds_since(started):
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
