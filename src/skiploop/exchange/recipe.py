"""A recipe of one program: a folder with one small file, from which the model runs it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skiploop.exchange.contents import Contents
from skiploop.files import filling
from skiploop.models.recipe import Recipe

if TYPE_CHECKING:
    from skiploop.models.frozen import FrozenModel


def write(out: Path, contents: Contents, model: FrozenModel) -> None:
    """Write a recipe into a new folder; `skiploop.load` and `skiploop.load_policy` read it.

    Raises:
        ConfigError: The folder holds something.
    """
    (program,) = contents.programs
    recipe = Recipe(
        model=model.name,
        dtype=str(model.dtype).removeprefix("torch."),
        weights=model.model_id,
        program=str(program),
    )
    with filling(out) as folder:
        recipe.save(folder)
