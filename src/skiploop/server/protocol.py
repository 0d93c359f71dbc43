"""Bodies of requests: which fields there are, and what may stand in them.

Fields of OpenAI's interface that this server cannot follow are taken with the value that changes
nothing. Everything else is refused with the name of the field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from skiploop.errors import closest
from skiploop.server.errors import ApiError, wrong

_MAX_NAME = 1000
"""Characters of a model's name or a program."""


def _listed(value: object) -> object:
    """Return one text as a list of it."""
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=_MAX_NAME)]
Texts = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Stops = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=_MAX_NAME)]],
    BeforeValidator(_listed),
    Field(max_length=4),
]
Zero = Annotated[float, Field(ge=0, le=0)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Strict(BaseModel):
    """What all parts of bodies have in common: no field is taken that nobody knows."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Body(Strict):
    """What all bodies have in common."""

    model: Name | None = None
    program: Name | None = None


class StreamOptions(Strict):
    """What comes at the end of a stream."""

    include_usage: bool = False


class Writing(Body):
    """How answers are written."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Int64 | None = None
    stop: Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    vote: Annotated[int, Field(ge=1)] | None = None
    abstain_below: Annotated[float, Field(ge=0, le=1)] | None = None
    # taken, but they change nothing
    user: str | None = None
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionBody(Writing):
    """Body of `/v1/completions`."""

    prompt: Texts
    ask: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the log-probabilities of the tokens are told."""
        return self.logprobs is not None


class Part(Strict):
    """A part of a message."""

    type: Literal["text"]
    text: str


def _parts(value: object) -> object:
    """Return a text as the only part of a message."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class Message(Strict):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_parts)]
    name: str | None = None

    @property
    def text(self) -> str:
        """What is said."""
        return "".join(part.text for part in self.content)


class ResponseFormat(Strict):
    """What an answer looks like: text."""

    type: Literal["text"]


Messages = Annotated[list[Message], Field(min_length=1)]


class ChatBody(Writing):
    """Body of `/v1/chat/completions`."""

    messages: Messages
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    # taken, but they change nothing
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the log-probabilities of the tokens are told."""
        return bool(self.logprobs)


class RouteBody(Body):
    """Body of `/v1/skiploop/route`: a prompt, or messages."""

    prompt: str | None = None
    ask: bool | None = None
    messages: Messages | None = None


_Kind = TypeVar("_Kind", bound=Body)


def read(kind: type[_Kind], body: bytes) -> _Kind:
    """Return a body that has the fields of its kind.

    Raises:
        ApiError: It is no JSON object, or a field is unknown, missing or wrong.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _told(kind, error) from error


def _told(kind: type[Body], error: ValidationError) -> ApiError:
    """Return what a client is told about a body."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field, message = ".".join(map(str, first["loc"]))[:_MAX_NAME], first["msg"]
    if first["type"] == "json_invalid":
        return wrong(None, f"the body is not JSON: {message.partition(': ')[2]}")
    if not field:
        return wrong(None, "the body is not a JSON object: give one with a field for each setting")
    if first["type"] == "missing":
        return wrong(field, f"the field {field} is missing")
    if first["type"] == "extra_forbidden":
        hint = closest(field, kind.model_fields) or f"known are {', '.join(kind.model_fields)}"
        return wrong(field, f"unknown field {field!r}: {hint.strip()}")
    return wrong(field, f"{field}: {message[:1].lower()}{message[1:]}")
