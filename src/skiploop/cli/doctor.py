"""`skiploop doctor`: what is installed, what the machine has, whether a model or a run is right."""

from __future__ import annotations

import os
import platform
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.console import made_by, prepare, print_json
from skiploop.cli.machine import Device, Threads
from skiploop.cli.options import PATH, Dtype, Json

if TYPE_CHECKING:
    import torch

Facts = dict[str, str | None]

_ROWS = {
    "PADDED": "of any length share a batch",
    "EQUAL": "of one length share a batch",
    "RECOMPUTED": "share a batch without a cache, which is slow",
}


def doctor(
    run: Annotated[
        Path | None,
        typer.Argument(help="Look at the files of this run folder, and at nothing else.", **PATH),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Check this one, too: packaged name, hub id, folder or .gguf file."),
    ] = None,
    dtype: Dtype = None,
    device: Device = "cpu",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Tell versions, extras, device, threads and memory, and check a model on this machine.

    The check is that of every load, made anew: the engine is compared with the plain model.

    Of a run folder it names the files that are damaged. What is intact of damaged trials is
    written to a new file.

    Example: skiploop doctor --model smollm2-135m

    Example: skiploop doctor RUN
    """
    if run is not None:
        _examine(run, as_json=as_json)
        return

    prepare(threads)
    made = made_by(device=device, n_threads=threads)
    found = {"versions": _versions(), "extras": _extras(), "machine": _machine(device, threads)}
    for title, facts in found.items():
        _print(title, facts)
    if model is not None:
        found["model"] = _checked(model, dtype, device)
        _print("model", found["model"])
    if as_json:
        print_json({**found, **made})


def _examine(folder: Path, *, as_json: bool) -> None:
    """Name the damaged files of a run; with one, the command fails."""
    from skiploop.runs.health import examine

    found = examine(folder)
    print(f"{len(found.damaged)} of {found.n_files} files in {folder} are damaged")
    for name, what in found.damaged.items():
        print(f"{name}: {what}")
    if as_json:
        print_json({"run": str(folder), "n_files": found.n_files, "damaged": found.damaged})
    if found.damaged:
        raise typer.Exit(2)


def _versions() -> Facts:
    from skiploop.runs.provenance import versions

    return {**versions(), "python": platform.python_version()}


def _extras() -> Facts:
    """Return for each extra what of it is missing, or that all is there."""
    from skiploop.extras import PACKAGES, missing

    return {
        extra: f'{", ".join(absent)} missing: pip install "skiploop[{extra}]"'
        if (absent := missing(extra))
        else "installed"
        for extra in PACKAGES
    }


def _machine(device: str, n_threads: int) -> Facts:
    import torch

    from skiploop.engine.memory import automatic_memory
    from skiploop.loading import usable_device
    from skiploop.models.resolve import cache_dir

    used = usable_device(device)
    load, n_cpus, cache = os.getloadavg()[0], os.cpu_count() or 1, cache_dir()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    is_busy = load + n_threads > n_cpus
    return {
        "device": _name(used),
        "GPUs": ", ".join(_name(torch.device("cuda", i)) for i in range(torch.cuda.device_count()))
        or "none",
        "threads": f"{n_threads} of {n_cpus}, load {load:.1f}"
        + (" (busy: more threads would be slower)" if is_busy else ""),
        "memory": _gigabytes(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        "for one batch": f"{_gigabytes(automatic_memory(used))} of keys and values",
        "cache": f"{cache}, {_gigabytes(shutil.disk_usage(there).free)} free",
    }


def _name(device: torch.device) -> str:
    import torch

    if device.type != "cuda":
        return str(device)
    free, total = torch.cuda.mem_get_info(device)
    name = torch.cuda.get_device_name(device)
    return f"{device} ({name}, {_gigabytes(free)} of {_gigabytes(total)} free)"


def _checked(name: str, dtype: str | None, device: str) -> Facts:
    """Load a model and hold the engine against it, whether or not that was done before.

    Raises:
        UnsupportedModelError: They differ.
    """
    from skiploop.check import check
    from skiploop.loading import load

    started = time.perf_counter()
    stack = load(name, dtype=dtype, device=device, verify=False)
    loaded = time.perf_counter()
    check(stack)
    return {
        "name": stack.name,
        "class": f"{type(stack.model).__name__}, {stack.n_layers} layers at {stack.layers_path}",
        "identity": stack.model_id,
        "loaded": f"{loaded - started:.1f} s, as {stack.dtype}".replace("torch.", ""),
        "check": f"passed in {time.perf_counter() - loaded:.1f} s",
        "rows": "each alone" if stack.exact else _ROWS[stack.way.name],
        "views": "yes" if stack.has_views else "no: generate, choose and loglikelihood only",
    }


def _print(title: str, facts: Facts) -> None:
    width = max(map(len, facts))
    print(f"{title}:")
    for name, fact in facts.items():
        print(f"  {name:<{width}}  {fact or 'not installed'}")


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
