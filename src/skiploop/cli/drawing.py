"""Options of random draws, and what they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.errors import ConfigError

if TYPE_CHECKING:
    from skiploop.engine.sampling import Sampling

Temperature = Annotated[
    float, typer.Option(help="Draw tokens at random; 0 takes the most likely.", min=0)
]
TopK = Annotated[int | None, typer.Option(help="Draw among so many tokens.", min=1)]
TopP = Annotated[float | None, typer.Option(help="Draw among tokens of this probability. [1]")]
DrawSeed = Annotated[int | None, typer.Option(help="Of the draws; the same for every program. [0]")]


def check_draws(
    temperature: float, top_k: int | None, top_p: float | None, seed: int | None
) -> None:
    """Refuse settings of draws where nothing is drawn.

    Raises:
        ConfigError: The temperature is 0, and something else is given.
    """
    drawing = {"--top-k": top_k, "--top-p": top_p, "--seed": seed}
    given = [flag for flag, value in drawing.items() if value is not None]
    if given and not temperature:
        raise ConfigError(f"{', '.join(given)}: nothing is drawn, give --temperature above 0 too")


def sampling_of(temperature: float, top_k: int | None, top_p: float | None) -> Sampling | None:
    """Return how tokens are drawn, None for the most likely ones.

    Raises:
        BatchError: A number is out of range.
    """
    from skiploop.engine.sampling import Sampling

    if not temperature:
        return None
    return Sampling(temperature=temperature, top_k=top_k, top_p=1.0 if top_p is None else top_p)
