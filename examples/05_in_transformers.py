"""A program in Hugging Face's own tools: a pipeline, and drafts for the plain model."""

import torch
from transformers import pipeline
from transformers.utils import logging

import skiploop

logging.set_verbosity_error()
torch.set_num_threads(1)
stack = skiploop.load("smollm2-135m")

# A view is a model of the same class that shares all weights, so a pipeline takes it.
view = stack.view(skiploop.Program.parse("17:18x2", stack.n_layers))
write = pipeline("text-generation", model=view, tokenizer=stack.tokenizer)
prompt = "The three states of water are"
(found,) = write(prompt, max_new_tokens=12, do_sample=False, return_full_text=False)
print("pipeline:", repr(found["generated_text"]))

# A view that skips layers drafts tokens, and the plain model checks several of them in one pass:
# the text is that of the plain model, whatever the drafts are worth.
inputs = stack.tokenizer(prompt, return_tensors="pt")
draft = stack.view(skiploop.Program.parse("22:23x0", stack.n_layers))
settings = {"max_new_tokens": 12, "do_sample": False}
alone = stack.model.generate(**inputs, **settings)
with_drafts = stack.model.generate(**inputs, assistant_model=draft, **settings)
print("plain:", repr(stack.tokenizer.decode(alone[0], skip_special_tokens=True)))
print("the same with drafts:", torch.equal(alone, with_drafts))
