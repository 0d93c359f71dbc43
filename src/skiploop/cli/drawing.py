"""Options of random draws, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.errors import ConfigError

if TYPE_CHECKING:
    from skiploop.engine.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How tokens are drawn.

    Raises:
        ConfigError: The temperature is 0, and something else is given.
    """

    temperature: Annotated[
        float, typer.Option(help="Draw tokens at random; 0 takes the most likely.", min=0)
    ] = 0.0
    top_k: Annotated[int | None, typer.Option(help="Draw among so many tokens.", min=1)] = None
    top_p: Annotated[
        float | None, typer.Option(help="Draw among tokens of this probability. [1]")
    ] = None
    seed: Annotated[
        int | None, typer.Option(help="Of the draws; the same for every program. [0]")
    ] = None

    def __post_init__(self) -> None:
        settings = {"--top-k": self.top_k, "--top-p": self.top_p, "--seed": self.seed}
        given = [flag for flag, value in settings.items() if value is not None]
        if given and not self.temperature:
            raise ConfigError(
                f"{', '.join(given)}: nothing is drawn, give --temperature above 0 too"
            )

    def sampling(self) -> Sampling | None:
        """Return how tokens are drawn, None for the most likely ones.

        Raises:
            BatchError: A number is out of range.
        """
        from skiploop.engine.sampling import Sampling

        if not self.temperature:
            return None
        top_p = 1.0 if self.top_p is None else self.top_p
        return Sampling(temperature=self.temperature, top_k=self.top_k, top_p=top_p)
