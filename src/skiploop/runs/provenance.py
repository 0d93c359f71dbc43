"""Where a number came from: versions, machine, time and command, stored with every run.

Nothing is imported to be asked for its version, so collecting costs milliseconds.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from skiploop import __version__
from skiploop.errors import ConfigError

PACKAGES = ("torch", "transformers", "numpy")
"""Whose versions are stored."""


def collect(**extra: object) -> dict[str, object]:
    """Return what to store with a run, under the same keys every time.

    Args:
        **extra: What only the caller knows, such as `device="cpu"`, `dtype="float32"`,
            `n_threads=2`, `model=...`, `task_version=...`.

    Returns:
        `skiploop`, `python`, `torch`, `transformers`, `numpy` (versions, None if not installed),
        `platform`, `cpu`, `n_cpus`, `time` (UTC, ISO 8601, whole seconds), `command`, then the
        extra facts, and `gpu` (its name) if the device is one of CUDA's.

    Raises:
        ConfigError: An extra fact has the name of one of these.
    """
    facts: dict[str, object] = {"skiploop": __version__, "python": platform.python_version()}
    facts.update({package: version_of(package) for package in PACKAGES})
    facts.update(
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


def version_of(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
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
