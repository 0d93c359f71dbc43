"""What a model gives whose weights several processes share: run by torchrun in a slow test."""

import json
import sys

import torch.distributed as dist
from families import N_LAYERS, tokenizer
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

import skiploop
from skiploop import Program

PROMPTS = ("the pen", "a 7 on", "the hen")
PROGRAMS = tuple(Program.parse(text, N_LAYERS) for text in ("identity", "1:2x0", "3:5x2"))


def given(stack):
    """Return what a stack gives: texts, how likely, a table, what a view writes, who it is."""
    answers = stack.generate(PROMPTS, PROGRAMS, max_new_tokens=8)
    task = skiploop.get_task("arithmetic", level=1)
    table = skiploop.score_grid(stack, task, task.examples("train", 3), PROGRAMS)
    tokens = stack.tokenizer(PROMPTS[2], return_tensors="pt")["input_ids"]
    written = stack.view(PROGRAMS[2]).generate(tokens, max_new_tokens=8, do_sample=False)
    return {
        "texts": [one.text for one in answers],
        "logprobs": [one.logprob for one in answers],
        "verdicts": table.tolist(),
        "view": stack.tokenizer.decode(written[0, tokens.shape[1] :], skip_special_tokens=True),
        "model_id": stack.model_id,
    }


def main(folder):
    dist.init_process_group("gloo")
    parts = DistributedConfig(tp_size=dist.get_world_size())
    model = AutoModelForCausalLM.from_pretrained(folder, distributed_config=parts).eval()
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, given(skiploop.load(model, tokenizer=tokenizer())))
    if dist.get_rank() == 0:
        print(json.dumps(found))  # noqa: T201
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
