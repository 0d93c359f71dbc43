"""A recipe: the small file that says of which model something is, and who that model is.

A folder with a recipe takes the place of the model's own: `skiploop.load` loads the model that it
names and refuses another one. It holds one program, or lies beside a policy. Within the folder of
the weights it has a folder of its own, as its files have names that weights have, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from skiploop import config as settings
from skiploop.errors import RunError, told_as
from skiploop.jsontext import read_json, write_json

RECIPE_FILE = "recipe.json"
WITHIN = "skiploop"
"""Folder of a recipe within that of the weights of its model."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe says.

    Attributes:
        model: Anything that `skiploop.load` takes by name; where the recipe lies within the folder
            of some weights, these.
        dtype: Number format of weights and computation.
        weights: `FrozenModel.model_id` of the model.
        program: Text form of a program; None where a policy lies beside the recipe.
    """

    model: str
    dtype: str
    weights: str
    program: str | None = None

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        write_json(folder / RECIPE_FILE, settings.to_dict(self))

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Read what `save` wrote.

        Raises:
            RunError: The file is damaged.
        """
        path = folder / RECIPE_FILE
        made = "make it with 'skiploop export'"
        with told_as(RunError, f"{path} is no recipe", made, of=(OSError, ValueError)):
            recipe = settings.from_dict(cls, read_json(path))
        return replace(recipe, model=str(folder.parent)) if is_within_weights(folder) else recipe


def place_of_recipe(folder: Path) -> Path:
    """Return where the recipe of a folder is, or goes: within that of some weights."""
    return folder / WITHIN if _has_weights(folder) else folder


def is_within_weights(folder: Path) -> bool:
    """Whether a folder is the place of a recipe within the folder of some weights."""
    return folder.name == WITHIN and _has_weights(folder.parent)


def _has_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def has_recipe(folder: Path) -> bool:
    """Whether a folder holds a recipe."""
    return (folder / RECIPE_FILE).is_file()
