"""Judge a program with lm-evaluation-harness: a view is an ordinary Hugging Face model.

Needs `pip install lm_eval==0.4.13`; without it the example ends with one line.
"""

import importlib.util
import logging
import sys

import torch

import skiploop

if importlib.util.find_spec("lm_eval") is None:
    print("skipped: this example needs pip install lm_eval==0.4.13")
    sys.exit()

from datasets import Dataset
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

logging.disable(logging.WARNING)
torch.set_num_threads(1)
stack = skiploop.load("smollm2-135m")
program = skiploop.Program.parse("14:15x2", stack.n_layers)
task = skiploop.get_task("arithmetic", level=1)
examples = task.examples("validation", limit=20)
prompts = [task.prompt(example) for example in examples]

# The same questions as a task of the harness.
golds = [example.gold for example in examples]
questions = Dataset.from_dict({"prompt": prompts, "gold": golds})
harness_task = ConfigurableTask(
    config={
        "task": "one-digit",
        "custom_dataset": lambda **_: {"test": questions},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{gold}}",
        "generation_kwargs": {"until": list(task.stop), "max_gen_toks": task.max_new_tokens},
        "metric_list": [{"metric": "exact_match"}],
    }
)
model = HFLM(pretrained=stack.view(program), tokenizer=stack.tokenizer, batch_size=1)
results = simple_evaluate(model=model, tasks=[harness_task], bootstrap_iters=0)
share = results["results"]["one-digit"]["exact_match,none"]

answers = stack.generate(prompts, program, max_new_tokens=task.max_new_tokens, stop=task.stop)
grades = task.grade_many(examples, [answer.text for answer in answers])
print(f"lm-evaluation-harness: {share * len(examples):.0f} of {len(examples)} right")
print(f"skiploop:              {sum(g.correct is True for g in grades)} of {len(examples)} right")
