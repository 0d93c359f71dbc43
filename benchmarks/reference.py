"""How the same work is done without skiploop's engine: Hugging Face `generate` on program views."""

import torch


def tokens_with(stack, stop):
    """Return every token whose text holds the stop string."""
    vocabulary = range(len(stack.tokenizer))
    texts = stack.tokenizer.batch_decode([[token] for token in vocabulary])
    return [token for token, text in zip(vocabulary, texts, strict=True) if stop in text]


def stop_tokens(stack, stop):
    """Return the end token and every token whose text holds the stop string."""
    return [*tokens_with(stack, stop), stack.tokenizer.eos_token_id]


def written(model, stack, prompts, max_new_tokens, ends=None):
    """Return the tokens that a model or view writes greedily after some prompts in one batch."""
    tokenizer = stack.tokenizer
    tokenizer.padding_side = "left"
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(stack.device)
    with torch.inference_mode():
        output = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
    return [tuple(row) for row in output[:, inputs["input_ids"].shape[1] :].tolist()]


def answers(view, stack, prompts, *, max_new_tokens, ends, batch=64, stop="\n"):
    """Return the texts that one view writes greedily, some prompts at a time."""
    texts = []
    for start in range(0, len(prompts), batch):
        new = written(view, stack, prompts[start : start + batch], max_new_tokens, ends)
        texts += [
            text.split(stop)[0]
            for text in stack.tokenizer.batch_decode(new, skip_special_tokens=True)
        ]
    return texts
