"""Where a number came from: versions, machine, time and command, stored with every run.

Nothing is imported to be asked for its version, so collecting costs milliseconds.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from skiploop import __version__
from skiploop.errors import ConfigError

_PACKAGES = ("torch", "transformers", "numpy")


def collect(**extra: object) -> dict[str, object]:
    """Return what to store with a run, under the same keys every time.

    Args:
        **extra: What only the caller knows, such as `device="cpu"`, `dtype="float32"`,
            `n_threads=2`, `model=...`, `task_version=...`.

    Returns:
        What `versions` has, `python`, `platform`, `cpu`, `n_cpus`, `time` (UTC, ISO 8601, whole
        seconds), `command`, then the extra facts, and `gpu` (its name) if the device is one of
        CUDA's.

    Raises:
        ConfigError: An extra fact has the name of one of these.
    """
    facts: dict[str, object] = dict(versions())
    facts.update(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu(),
        n_cpus=os.cpu_count(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    taken = sorted(facts.keys() & extra.keys())
    if taken:
        raise ConfigError(f"provenance collects {', '.join(taken)} itself: use another name")
    device = str(extra.get("device", ""))
    if device.partition(":")[0] == "cuda":
        import torch  # whoever uses the device has imported it

        extra["gpu"] = torch.cuda.get_device_name(device)
    return {**facts, **extra}


def versions() -> dict[str, str | None]:
    """Return those of `skiploop`, `torch`, `transformers` and `numpy`, None if not installed."""
    return {"skiploop": __version__} | {package: _version(package) for package in _PACKAGES}


def differing(there: Mapping[str, str | None]) -> str:
    """Return which versions differ from those of another process, as text; empty if none does.

    What a build is for, such as `+cpu`, is not looked at.
    """
    here = versions()
    return ", ".join(
        f"{package} {here[package]} (there {version})"
        for package, version in there.items()
        if _released(here[package]) != _released(version)
    )


def _released(version: str | None) -> str | None:
    return version and version.partition("+")[0]


@cache  # workers and their driver ask with every job
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    """Return the model name of the processor, or what the platform says where there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
