"""What a client is told when it gets no answer, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping

GIVE_UP = {"x-should-retry": "false"}
"""Tells OpenAI's clients not to ask again."""


class ApiError(Exception):
    """A request that gets no answer.

    Nothing of the machine stands in its message: no path, no traceback.

    Attributes:
        status: Of HTTP.
        message: What was given, what is expected, what to do.
        kind: `type` in OpenAI's form.
        param: The field that is wrong, if it is one.
        code: A short name of the mistake, if it has one.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return the body of the answer."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def wrong(param: str | None, message: str) -> ApiError:
    """Return the error for a field that cannot be used."""
    return ApiError(400, message, param=param)


def too_busy(n_waiting: int, retry_after: int) -> ApiError:
    """Return the error for a request that finds the line full."""
    return ApiError(
        429,
        f"{n_waiting} answers are waiting already: ask again in {retry_after} s",
        kind="rate_limit_error",
        code="queue_full",
        headers={"retry-after": str(retry_after)},
    )


def too_late(seconds: float) -> ApiError:
    """Return the error for an answer that was not complete in time."""
    return ApiError(
        504,
        f"the answer was not complete within {seconds:g} s: ask for fewer tokens, or later",
        kind="timeout_error",
        code="deadline",
        headers=GIVE_UP,
    )


def broken() -> ApiError:
    """Return the error for what went wrong in the server; its log tells more."""
    return ApiError(
        500,
        "the server failed on this request; its log says why",
        kind="server_error",
        headers=GIVE_UP,
    )


def no_numbers() -> ApiError:
    """Return the error for logits that are not numbers."""
    return ApiError(
        500,
        "the model's logits were not numbers under this program: choose another one",
        kind="server_error",
        code="nan",
        headers=GIVE_UP,
    )


def closing() -> ApiError:
    """Return the error for what is asked while the server stops."""
    return ApiError(503, "the server is stopping: ask again later", kind="server_error")
