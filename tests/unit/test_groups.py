"""A parameter that is a dataclass of options stands for an option for each of its fields."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from skiploop.cli.groups import with_groups

drawn = []


@dataclass(frozen=True, kw_only=True)
class Size:
    width: Annotated[int, typer.Option(help="How wide.")] = 3
    height: int = 4

    def __post_init__(self):
        if self.width < 0:
            raise ValueError("too small")


@with_groups
def draw(*, name: str, size: Size, is_loud: bool = False) -> None:
    """Draw something."""
    drawn.append((name, size, is_loud))


@pytest.fixture
def told():
    app = typer.Typer()
    app.command()(draw)
    return lambda *arguments: CliRunner().invoke(app, [*arguments])


def test_its_fields_take_its_place_in_their_order():
    assert list(inspect.signature(draw).parameters) == ["name", "width", "height", "is_loud"]
    assert draw.__doc__ == "Draw something."


def test_the_command_gets_what_was_given_and_the_defaults_of_the_rest(told):
    told("box", "--height", "7")
    told("box", "--width", "1", "--is-loud")
    assert drawn == [("box", Size(height=7), False), ("box", Size(width=1), True)]
    assert "How wide." in told("--help").stdout


def test_a_group_may_refuse_what_was_given(told):
    assert str(told("box", "--width", "-1").exception) == "too small"
