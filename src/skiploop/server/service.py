"""From the body of a request to the answers that it asks for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from skiploop.arguments import shown
from skiploop.engine.options import Options
from skiploop.engine.sampling import Sampling
from skiploop.errors import ConfigError
from skiploop.server.chat import prompt_of
from skiploop.server.errors import wrong
from skiploop.server.events import Ask
from skiploop.server.keys import Keys
from skiploop.server.limits import Limits
from skiploop.server.metrics import Metrics
from skiploop.server.protocol import ChatBody, CompletionBody, RouteBody, Writing
from skiploop.server.scheduler import Scheduler
from skiploop.server.variants import Catalogue, Chooser, Variant
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm

DEFAULT_LENGTH = 16
"""Tokens of a completion that are added at most unless told otherwise, as OpenAI has it."""


@dataclass(frozen=True)
class Service:
    """All that a server is made of, without HTTP.

    Attributes:
        stack: The model; only the scheduler's thread runs it.
        catalogue: Its variants.
        scheduler: Writes answers.
        limits: What is taken on.
        keys: Who may ask.
        metrics: What was done.
        created: When the server was started, in seconds since 1970.
    """

    stack: LayerStack
    catalogue: Catalogue
    scheduler: Scheduler
    limits: Limits
    keys: Keys
    metrics: Metrics
    created: int = field(default_factory=lambda: int(time.time()))

    def models(self) -> list[dict[str, object]]:
        """Return the variants that are listed."""
        return [self.model(name) for name in self.catalogue.names]

    def model(self, name: str) -> dict[str, object]:
        """Return one variant.

        Raises:
            ApiError: There is none of this name.
        """
        self.catalogue.variant(name, None)
        return {"id": name, "object": "model", "created": self.created, "owned_by": "skiploop"}

    def completion_asks(self, body: CompletionBody) -> list[Ask]:
        """Return the answers that `/v1/completions` is asked for.

        Raises:
            ApiError: A field does not fit the model, the limits or another field.
        """
        variant = self.catalogue.variant(body.model, body.program)
        ask = Ask(
            prompt="",
            field="prompt",
            variant=variant,
            options=self._options(body, body.max_tokens or DEFAULT_LENGTH, "max_tokens"),
            is_streamed=bool(body.stream),
            with_pieces=body.wants_logprobs,
        )
        if body.ask:
            return self._each(self._questions(ask, body), body)
        return self._each([replace(ask, prompt=prompt) for prompt in body.prompt], body)

    def chat_asks(self, body: ChatBody) -> list[Ask]:
        """Return the answers that `/v1/chat/completions` is asked for.

        Raises:
            ApiError: A field does not fit the model, the limits or another field.
        """
        variant = self.catalogue.variant(body.model, body.program)
        given = {body.max_tokens, body.max_completion_tokens} - {None}
        if len(given) > 1:
            raise wrong(
                "max_tokens", "max_tokens and max_completion_tokens differ: give one of them"
            )
        name = "max_tokens" if body.max_tokens else "max_completion_tokens"
        limit = body.max_tokens or body.max_completion_tokens or self.limits.new_tokens
        ask = Ask(
            prompt=prompt_of(self.stack.tokenizer, body.messages),
            field="messages",
            variant=variant,
            options=self._options(body, limit, name),
            is_shortened=not given,
            is_streamed=bool(body.stream),
            with_pieces=body.wants_logprobs,
        )
        return self._each([ask], body)

    def route(self, body: RouteBody) -> tuple[Variant, str]:
        """Return what `/v1/skiploop/route` is asked about: a variant, and a prompt for it.

        Raises:
            ApiError: There is no such variant, or not one prompt.
        """
        variant = self.catalogue.variant(body.model, body.program)
        if (body.prompt is None) == (body.messages is None):
            raise wrong("prompt", "give either a prompt or messages")
        if body.messages is not None:
            return variant, prompt_of(self.stack.tokenizer, body.messages)
        prompt = body.prompt or ""
        return variant, _asked(_form(variant), prompt) if body.ask else prompt

    def _questions(self, ask: Ask, body: CompletionBody) -> list[Ask]:
        """Return asks for bare questions, put as the policy has seen them."""
        form = _form(ask.variant)
        if body.stop or body.max_tokens:
            raise wrong(
                "ask", "ask takes stop and max_tokens from the policy: leave out these fields"
            )
        limit = min(form.max_new_tokens, self.limits.new_tokens)
        options = replace(ask.options, stop=form.stop, max_new_tokens=limit)
        prompts = [_asked(form, question) for question in body.prompt]
        return [replace(ask, prompt=prompt, options=options) for prompt in prompts]

    def _options(self, body: Writing, limit: int, name: str) -> Options:
        """Return how answers are written."""
        most = self.limits.new_tokens
        if limit > most:
            raise wrong(name, f"{name} is {limit}: this server writes {most} at most")
        if body.top_p not in (None, 1.0) and body.temperature is None:
            raise wrong("top_p", "top_p is of random draws: give temperature above 0 too")
        if body.stream_options and not body.stream:
            raise wrong("stream_options", "stream_options are of a stream: give stream too")
        sampling = None
        if body.temperature:
            top_p = 1.0 if body.top_p is None else body.top_p
            sampling = Sampling(temperature=body.temperature, top_p=top_p)
        return Options(max_new_tokens=limit, stop=body.stop or (), sampling=sampling)

    def _each(self, asks: Sequence[Ask], body: Writing) -> list[Ask]:
        """Return the asks `n` times each, with seeds in a row."""
        n, most = body.n or 1, min(self.limits.answers, self.limits.waiting)
        if len(asks) * n > most:
            raise wrong(
                "n" if n > 1 else "prompt",
                f"{len(asks)} prompts with {n} answers each: this server gives {most} answers to "
                "a request",
            )
        seed = secrets.randbelow(2**62) if body.seed is None else body.seed
        return [replace(ask, seed=seed + i) for ask in asks for i in range(n)]


def make_service(
    stack: LayerStack,
    name: str,
    policies: Mapping[str, Chooser] | None = None,
    *,
    default: str | None = None,
    limits: Limits | None = None,
    keys: Keys | None = None,
) -> Service:
    """Return a server without HTTP.

    Args:
        stack: The model.
        name: What clients call it.
        policies: What chooses programs, by the names that clients use.
        default: The text of a program; see `Catalogue`.
        limits: What is taken on.
        keys: Who may ask; without them everybody.

    Raises:
        ProgramError: The default is no program of the model.
    """
    limits, metrics = limits or Limits(), Metrics()
    max_slots = limits.slots * stack.n_layers
    catalogue = Catalogue(stack, name, policies or {}, default=default, max_slots=max_slots)
    scheduler = Scheduler(stack, limits, metrics, name=name)
    return Service(stack, catalogue, scheduler, limits, keys or Keys(), metrics)


def _form(variant: Variant) -> PromptForm:
    """Return how questions were put that the policy of a variant learned from."""
    form = variant.policy.form if variant.policy else None
    if form is None:
        raise wrong("ask", f"{variant.name} knows no form of questions: leave out ask")
    return form


def _asked(form: PromptForm, question: str) -> str:
    """Return the prompt of a bare question."""
    try:
        return form.prompt(question)
    except ConfigError as error:
        raise wrong(
            "prompt", f"{shown(question)} is no question of this policy: give its bare text"
        ) from error
