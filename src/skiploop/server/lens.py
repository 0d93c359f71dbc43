"""The logit lens: which token the model would write next, were each of its layer passes the last.

Shapes: P layer passes, N likeliest tokens.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

from __future__ import annotations

from skiploop.engine.batching.encoding import encode
from skiploop.engine.windows import logits_along
from skiploop.programs.program import Program
from skiploop.server.errors import wrong
from skiploop.stack import LayerStack

MAX_TOKENS = 512
"""Of a prompt: its states after all passes are held at once."""

N_LIKELIEST = 3


def lens_body(stack: LayerStack, prompt: str, program: Program) -> dict[str, object]:
    """Return the likeliest next tokens after each layer pass of a program.

    Raises:
        ApiError: The prompt has more than `MAX_TOKENS` tokens.
        BatchError: It is empty, or longer than the model takes.
    """
    (tokens,) = encode(stack, [prompt])
    if len(tokens) > MAX_TOKENS:
        raise wrong("prompt", f"the prompt has {len(tokens)} tokens: a lens takes {MAX_TOKENS}")
    likeliest = logits_along(stack, tokens, program).softmax(-1).topk(N_LIKELIEST)
    ids_PN, probabilities_PN = likeliest.indices.tolist(), likeliest.values.tolist()
    return {
        "object": "skiploop.lens",
        "program": str(program),
        "passes": [
            {
                "layer": layer,
                "tokens": [
                    {"text": stack.tokenizer.decode([one]), "probability": probability}
                    for one, probability in zip(ids_N, probabilities_N, strict=True)
                ],
            }
            for layer, ids_N, probabilities_N in zip(
                program.path, ids_PN, probabilities_PN, strict=True
            )
        ],
    }
