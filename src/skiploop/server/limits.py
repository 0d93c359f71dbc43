"""How much one request, and all of them together, may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from skiploop.arguments import number, whole_number
from skiploop.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes on.

    Attributes:
        body_bytes: Of one request.
        prompt_tokens: Of one prompt.
        new_tokens: Of one answer.
        answers: Of one request: prompts times `n`.
        slots: Layer passes of a program, as a multiple of the layers of the model.
        rows: Answers that are written at once.
        waiting: Answers that wait for that; more are refused with 429.
        seconds: From the request to the end of its answers, and for its body to arrive.
        connections: Open ones; more are refused with 503.

    Raises:
        ConfigError: A number is below 1.
    """

    body_bytes: int = 256 * 1024
    prompt_tokens: int = 4096
    new_tokens: int = 1024
    answers: int = 16
    slots: int = 2
    rows: int = 64
    waiting: int = 256
    seconds: float = 120.0
    connections: int = 512

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "seconds":
                value = vars(self)[field.name]
                whole_number(field.name, value, at_least=1, error=ConfigError)
        if number("seconds", self.seconds, error=ConfigError) <= 0:
            raise ConfigError(f"seconds is {self.seconds}: give a number above 0")
