"""lm-evaluation-harness: the model `skiploop`, whose forward passes are those of the engine.

Texts become tokens, windows and answers by the harness's own code for Hugging Face models, so that
the plain model gets what `--model hf` gives it.

    python -m skiploop.integrations.lm_eval --model skiploop --model_args ... --tasks ...

is the command `lm_eval` with this model known to it. Versions of the harness after 0.4.13 find the
model by themselves, as an entry point.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from skiploop.engine.batching.encoding import Pair
from skiploop.engine.sampling import Sampling
from skiploop.engine.score import loglikelihood
from skiploop.errors import BatchError, ConfigError
from skiploop.extras import brought_by
from skiploop.loading import load
from skiploop.policies.base import FixedPolicy, Policy
from skiploop.programs.program import Program
from skiploop.runs.ready import base_for, load_policy

with brought_by("lm-eval", "lm-evaluation-harness is the package lm_eval"):
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import register_model
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.utils import (
        handle_stop_sequences,
        normalize_gen_kwargs,
        postprocess_generated_text,
    )

_log = logging.getLogger("skiploop")

_ALL_REQUESTS = 2**31
"""A batch, as the harness counts: the engine makes batches itself, of whatever it is given."""

_KNOWN = ("do_sample", "max_gen_toks", "temperature", "top_k", "top_p", "until")
"""Settings of a generation that mean something to the engine."""

Settings = Mapping[str, Any]

Encoded = tuple[tuple[str, str] | None, list[int], list[int]]
"""Texts of a context and a continuation, None for a window of a long text, and their tokens."""


@register_model("skiploop")
class SkiploopLM(HFLM):
    """A frozen model under one program, or under a program that a policy chooses per request.

    Args:
        pretrained: Anything that `skiploop.load` takes by name; by default the model that the
            policy was made on.
        program: Text form of the program of all requests; by default the plain model.
        policy: What chooses: a run folder, an exported policy or the name of a shipped one.
        dtype: Number format; by default that of the policy, or float32.
        device: Such as `cpu` or `cuda:1`.
        layers: Dotted path of the list of layers, if it is not found.
        exact: Whether every request runs alone; see `LayerStack`.
        trust_remote_code: Whether code that comes with the weights may run.
        max_length: Most tokens of a request; by default what the model takes.
        batch_size, max_batch_size: Of no effect: the engine makes batches of all requests.

    Raises:
        ConfigError: A program and a policy are given.
    """

    def __init__(  # noqa: PLR0913  one for each thing that `--model_args` may say
        self,
        pretrained: str | None = None,
        *,
        program: str | None = None,
        policy: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        layers: str | None = None,
        exact: bool = False,
        trust_remote_code: bool = False,
        max_length: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        if program and policy:
            raise ConfigError("the policy chooses the programs: give program or policy, not both")
        base, made_in = base_for(policy, pretrained, dtype)
        self.stack = load(
            base,
            dtype=made_in,
            device=device,
            layers=layers,
            exact=exact,
            trust_remote_code=trust_remote_code,
        )
        self.needs_context = policy is not None
        self.policy: Policy = (
            load_policy(policy, self.stack)
            if policy
            else FixedPolicy([Program.parse(program or "identity", self.stack.n_layers)], "fixed")
        )
        self.n_requests: Counter[Program] = Counter()
        super().__init__(
            pretrained=self.stack.model,
            tokenizer=self.stack.tokenizer,
            max_length=max_length,
            batch_size=_ALL_REQUESTS,
        )

    def generate_until(self, requests: list[Instance], *, disable_tqdm: bool = False) -> list[str]:
        """Return what is written after each context, greedily or with the seed of its place.

        Raises:
            ConfigError: A setting of the generation means nothing to the engine.
            BatchError: A context and the new tokens are too long for the model.
        """
        texts: dict[int, str] = {}
        for settings, numbers in _alike([request.args[1] for request in requests]):
            known = _checked(normalize_gen_kwargs(settings, self.max_gen_toks))
            until = handle_stop_sequences(
                known["until"], eos=self.tok_decode(self.eot_token_id, skip_special_tokens=False)
            )
            contexts = [requests[number].args[0] for number in numbers]
            completions = self.stack.generate(
                contexts,
                self._programs(contexts),
                max_new_tokens=known["max_gen_toks"],
                stop=[text for text in until if text],
                sampling=_sampling(known),
                seeds=numbers if known["do_sample"] else (),
            )
            for number, completion in zip(numbers, completions, strict=True):
                written = self.tok_decode(completion.token_ids)
                texts[number] = postprocess_generated_text(written, until, think_end_token=None)
                self.cache_hook.add_partial("generate_until", requests[number].args, texts[number])
        return [texts[number] for number in range(len(requests))]

    def _loglikelihood_tokens(
        self,
        requests: Sequence[Encoded],
        *,
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """Return the log-probability of each continuation, and whether it is the greedy one."""
        pairs = [self._pair(context, continuation) for _, context, continuation in requests]
        programs = self._programs([texts[0] if texts else "" for texts, _, _ in requests])
        scored = loglikelihood(self.stack, pairs, programs)
        found = [(one.logprob, one.is_greedy) for one in scored]
        for (texts, _, _), answer in zip(requests, found, strict=True):
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return found

    def _pair(self, context: list[int], continuation: list[int]) -> Pair:
        """Return tokens that fit into the model: the first ones of a long context are left out.

        Raises:
            BatchError: The continuation alone is too long.
        """
        n_over = len(context) + len(continuation) - self.max_length - 1  # the last one is not run
        if n_over >= len(context):
            raise BatchError(
                f"a continuation has {len(continuation)} tokens, but {self.stack.name} takes "
                f"{self.max_length} with its context: shorten it"
            )
        if n_over > 0:
            _log.warning("a context is too long, its first %d tokens are left out", n_over)
        return Pair((*context[max(n_over, 0) :], *continuation), len(continuation))

    def get_model_info(self) -> dict[str, object]:
        """Return what the harness writes beside its results: the model, and what it ran."""
        n_all = self.n_requests.total()
        slots = sum(program.n_slots * n for program, n in self.n_requests.items())
        return {
            "model_id": self.stack.model_id,
            "model_dtype": str(self.stack.dtype),
            "n_layers": self.stack.n_layers,
            "mean_layer_passes": slots / n_all if n_all else None,
            "programs": {str(program): n for program, n in self.n_requests.most_common()},
        }

    def _programs(self, contexts: Sequence[str]) -> list[Program]:
        """Return the program of each request.

        Raises:
            ConfigError: A policy is to choose, and there is nothing to choose by.
        """
        if self.needs_context and not all(contexts):
            raise ConfigError(
                "a policy chooses by the context of a request, and one has none, as in tasks of "
                "loglikelihood_rolling: give program=... in its place"
            )
        chosen = [ranked[0] for ranked in self.policy.rank(contexts, 1)]
        self.n_requests.update(chosen)
        return chosen


def _alike(settings: Sequence[Settings]) -> list[tuple[Settings, list[int]]]:
    """Return different settings, each with the numbers of the requests that have them."""
    groups: list[tuple[Settings, list[int]]] = []
    for number, one in enumerate(settings):
        numbers = next((found for known, found in groups if known == one), None)
        if numbers is None:
            groups.append((one, [number]))
        else:
            numbers.append(number)
    return groups


def _checked(settings: Settings) -> Settings:
    """Refuse settings of a generation that would be passed over."""
    unknown = sorted(settings.keys() - set(_KNOWN))
    if unknown:
        raise ConfigError(
            f"generation_kwargs holds {', '.join(unknown)}: the model skiploop takes "
            f"{', '.join(_KNOWN)}; set the others in the task, or use --model hf"
        )
    return settings


def _sampling(settings: Settings) -> Sampling | None:
    """Return how tokens are drawn, None for the likeliest ones."""
    if not settings["do_sample"]:
        return None
    return Sampling(
        temperature=settings.get("temperature", 1.0),
        top_k=settings.get("top_k"),
        top_p=settings.get("top_p", 1.0),
    )


if __name__ == "__main__":
    cli_evaluate()
