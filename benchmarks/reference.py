"""How the same work is done without skiploop's engine: Hugging Face `generate` on program views."""

import torch


def stop_tokens(stack, stop):
    """Return the end tokens and every token whose text holds the stop string."""
    vocabulary = range(len(stack.tokenizer))
    texts = stack.tokenizer.batch_decode([[token] for token in vocabulary])
    ends = [token for token, text in zip(vocabulary, texts, strict=True) if stop in text]
    return [*ends, stack.tokenizer.eos_token_id]


def answers(view, stack, prompts, *, max_new_tokens, ends, batch=64, stop="\n"):
    """Return the texts that one view writes greedily, some prompts at a time."""
    tokenizer = stack.tokenizer
    tokenizer.padding_side = "left"
    texts = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        inputs = tokenizer(some, return_tensors="pt", padding=True).to(stack.device)
        with torch.inference_mode():
            output = view.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        texts += [
            text.split(stop)[0] for text in tokenizer.batch_decode(new, skip_special_tokens=True)
        ]
    return texts
