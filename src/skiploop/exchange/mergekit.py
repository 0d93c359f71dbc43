"""mergekit's passthrough merges: slices of one model, one after the other, as YAML.

Source: arcee-ai/mergekit 0.1.5, its documentation of `passthrough`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from skiploop.config import load_file
from skiploop.errors import ConfigError, DataError, ProgramError
from skiploop.exchange.contents import Contents, path_of, runs_of
from skiploop.exchange.reading import PathReader, Place, Source
from skiploop.files import write_atomic

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel

_METHOD = "passthrough"


def read(source: Source) -> Contents:
    """Read the one program of a merge.

    Raises:
        DataError: The merge is another one, of several models, or changes weights.
        ProgramError: Its layers are in an order that is no program.
    """
    place, paths = Place(source.path), PathReader(source.n_layers)
    try:
        merge = load_file(source.path)
    except ConfigError as error:
        raise DataError(str(error)) from error
    if merge.get("merge_method") != _METHOD:
        raise (place / "merge_method").refuse(merge.get("merge_method"), _METHOD)
    models: set[str] = set()
    path: list[int] = []
    for i, value in enumerate((place / "slices").items(place.field(merge, "slices"))):
        at = place / f"slice {i}"
        sources = (at / "sources").items(at.field(at.record(value), "sources"))
        if len(sources) != 1:
            raise (at / "sources").error(f"{len(sources)} of them: a program has one model")
        part = at.record(sources[0])
        if "parameters" in part:
            raise (at / "parameters").error("they change weights, which no program does")
        models.add((at / "model").text(at.field(part, "model")))
        path += _range(at.field(part, "layer_range"), at / "layer_range", source.n_layers)
    if len(models) != 1:
        raise place.error(f"slices of {len(models)} models: a program has one")
    programs = paths.read(path, place)
    if not programs:
        raise ProgramError(f"{source.path}: {paths.left_out[0].lstrip(': ')}")
    return Contents(tuple(programs))


def _range(value: object, place: Place, n_layers: int) -> range:
    bounds = place.items(value)
    if len(bounds) != 2 or any(type(bound) is not int for bound in bounds):
        raise place.refuse(value, "a range such as [0, 15]")
    start, stop = bounds
    if not 0 <= start < stop <= n_layers:
        raise place.error(f"{value} is no part of a model of {n_layers} layers")
    return range(start, stop)


def write(out: Path, contents: Contents, model: FrozenModel) -> None:
    """Write one program as slices of the model.

    Raises:
        ProgramError: It is no list of layers.
    """
    (program,) = contents.programs
    slices = [
        {"sources": [{"model": model.name, "layer_range": [part.start, part.stop]}]}
        for part in runs_of(path_of(program, "a merge of mergekit"))
    ]
    merge = {
        "merge_method": _METHOD,
        "slices": slices,
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    write_atomic(out, yaml.safe_dump(merge, sort_keys=False, default_flow_style=None))
