"""Answers in OpenAI's forms: whole, or in parts as they come."""

from __future__ import annotations

import math
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from skiploop.engine.completion import StoppedBy
from skiploop.jsontext import json_text, plain
from skiploop.policies.why import Considered, Why
from skiploop.server.events import Ended, Written

Json = dict[str, object]

N_SHOWN = 5
"""Programs that a route tells of."""

DONE = b"data: [DONE]\n\n"
_FINISH: dict[StoppedBy, str] = {"stop": "stop", "eos": "stop", "length": "length"}


class Form(ABC):
    """One of OpenAI's forms."""

    prefix: str
    whole: str
    part: str

    def __init__(self, model: str, *, with_logprobs: bool) -> None:
        self.with_logprobs = with_logprobs
        self._model = model
        self._id = f"{self.prefix}-{secrets.token_hex(12)}"
        self._created = int(time.time())

    @abstractmethod
    def said(self, text: str) -> Json:
        """Return the text of a whole answer."""

    @abstractmethod
    def more(self, text: str, *, is_first: bool) -> Json:
        """Return the text of a part of an answer."""

    @abstractmethod
    def logprobs(self, written: Written, n_before: int) -> Json:
        """Return what is told of the tokens of some text after so many characters."""

    def body(
        self, endings: Sequence[Ended], n_prompt_tokens: int, vote: Json | None = None
    ) -> Json:
        """Return whole answers.

        Args:
            endings: The end of each.
            n_prompt_tokens: Of the prompts, those with several answers counted once.
            vote: What is told of the vote that they won, in `skiploop`.
        """
        choices = [
            {
                "index": index,
                **self.said(ended.completion.text),
                "logprobs": self.logprobs(ended.last, 0) if self.with_logprobs else None,
                "finish_reason": _FINISH[ended.completion.stopped_by],
                "skiploop": made_how(ended) | (vote or {}),
            }
            for index, ended in enumerate(endings)
        ]
        return {
            **self._head(self.whole),
            "choices": choices,
            "usage": usage(endings, n_prompt_tokens),
            "skiploop": made_how(endings[0]) | (vote or {}),
        }

    def chunk(self, index: int, event: Written | Ended, *, is_first: bool, n_before: int) -> Json:
        """Return a part of an answer, of which so many characters came before."""
        written = event.last if isinstance(event, Ended) else event
        choice: Json = {
            "index": index,
            **self.more(written.text, is_first=is_first),
            "logprobs": self.logprobs(written, n_before) if self.with_logprobs else None,
            "finish_reason": None,
        }
        head = self._head(self.part)
        if isinstance(event, Ended):
            choice["finish_reason"] = _FINISH[event.completion.stopped_by]
            choice["skiploop"] = head["skiploop"] = made_how(event)
        return {**head, "choices": [choice]}

    def last_chunk(self, endings: Sequence[Ended], n_prompt_tokens: int) -> Json:
        """Return the usage, as the last part of a stream."""
        return {**self._head(self.part), "choices": [], "usage": usage(endings, n_prompt_tokens)}

    def _head(self, kind: str) -> Json:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


class TextForm(Form):
    """The form of `/v1/completions`."""

    prefix, whole, part = "cmpl", "text_completion", "text_completion"

    def said(self, text: str) -> Json:
        """Return the text as it is."""
        return {"text": text}

    def more(self, text: str, *, is_first: bool) -> Json:
        """Return the text as it is."""
        return {"text": text}

    def logprobs(self, written: Written, n_before: int) -> Json:
        """Return columns: tokens, their log-probabilities, where they start."""
        starts = [n_before]
        for piece in written.pieces[:-1]:
            starts.append(starts[-1] + len(piece))
        return {
            "tokens": written.pieces,
            "token_logprobs": written.logprobs,
            "top_logprobs": None,
            "text_offset": starts[: len(written.pieces)],
        }


class ChatForm(Form):
    """The form of `/v1/chat/completions`."""

    prefix, whole, part = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def said(self, text: str) -> Json:
        """Return the text as a message."""
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def more(self, text: str, *, is_first: bool) -> Json:
        """Return the text as more of a message."""
        role = {"role": "assistant"} if is_first else {}
        return {"delta": {**role, "content": text}}

    def logprobs(self, written: Written, n_before: int) -> Json:
        """Return one entry for each token."""
        pairs = zip(written.pieces, written.logprobs, strict=True)
        content = [
            {"token": piece, "logprob": one, "bytes": list(piece.encode()), "top_logprobs": []}
            for piece, one in pairs
        ]
        return {"content": content, "refusal": None}


def made_how(ended: Ended) -> Json:
    """Return how an answer was made."""
    completion = ended.completion
    return {
        "program": str(completion.program),
        "n_slots": completion.program.n_slots,
        "layers_saved": completion.program.n_layers - completion.program.n_slots,
        "choose_ms": round(1000 * ended.choosing_s, 3),
        "confidence": math.exp(completion.logprob),
    }


def usage(endings: Sequence[Ended], n_prompt_tokens: int) -> Json:
    """Return how many tokens were read and written."""
    n_new = sum(len(ended.completion.token_ids) for ended in endings)
    return {
        "prompt_tokens": n_prompt_tokens,
        "completion_tokens": n_new,
        "total_tokens": n_prompt_tokens + n_new,
    }


def event_bytes(data: Json) -> bytes:
    """Return some data as a server-sent event."""
    return f"data: {json_text(data)}\n\n".encode()


def route_body(model: str, why: Why) -> Json:
    """Return what would be chosen, and why."""
    best, *others = why.considered
    told: Json = plain(
        {
            "object": "skiploop.route",
            "model": model,
            "chosen": _told(best),
            "runner_up": _told(others[0]) if others else None,
            "considered": [_told(one) for one in why.considered[:N_SHOWN]],
            "n_programs": len(why.considered),
            "gate": None
            if why.margin is None
            else {"margin": why.margin, "layer_cost": why.layer_cost, "is_far": why.is_far},
        }
    )
    return told


def _told(one: Considered) -> Json:
    return {
        "program": str(one.program),
        "n_slots": one.program.n_slots,
        "layers_saved": one.program.n_layers - one.program.n_slots,
        "score": one.score,
        "calibrated": one.calibrated,
        "utility": one.utility,
    }
