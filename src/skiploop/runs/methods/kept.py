"""What a method found out when it was made, kept in the run folder.

`RUN/methods/NAME/found.json` holds it, with the identity of the model and the settings it was
found with. A second making reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skiploop.errors import RunError, one_line
from skiploop.jsontext import json_text, read_json, write_json
from skiploop.models.identity import check_model
from skiploop.runs.session import Run

FOUND = "found.json"

Found = Mapping[str, Any]
"""Plain values."""


def kept(run: Run, name: str, settings: Found, find: Callable[[Found | None], Found]) -> Found:
    """Return what is kept under a name, or find it out and keep it.

    Args:
        run: Holds the folder and the model.
        name: Of the folder.
        settings: Found with other ones, it is found again.
        find: Given what is kept, or None, returns what is wanted: the same object if that is
            enough.

    Raises:
        RunError: The file is damaged, or of another model.
    """
    path = run.folder / "methods" / name / FOUND
    settings = {"model": run.stack.model_id, **settings}
    known = _read(path, run, settings) if path.exists() else None
    found = find(known)
    if found is not known:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**found, "settings": settings})
    return found


def _read(path: Path, run: Run, settings: Found) -> Found | None:
    """Return what a file holds, None if it was found with other settings."""
    try:
        held: Found = read_json(path)
        made_with: Found = held["settings"]
        made_for: str = made_with["model"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{path} cannot be read: {one_line(error)}; delete it, and it is made again"
        ) from error
    check_model(made_for, run.stack, f"{path} was made with", "delete it")
    return held if json_text(made_with) == json_text(settings) else None
