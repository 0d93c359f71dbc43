"""Judge a program and a policy with lm-evaluation-harness, whose requests the engine runs.

Needs `pip install "skiploop[lm-eval]"`; without it the example ends with one line.
"""

import importlib.util
import logging
import sys

import torch

import skiploop

if importlib.util.find_spec("lm_eval") is None:
    print('skipped: this example needs pip install "skiploop[lm-eval]"')
    sys.exit()

from datasets import Dataset
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask

from skiploop.integrations.lm_eval import SkiploopLM

logging.disable(logging.WARNING)
torch.set_num_threads(1)
task = skiploop.get_task("arithmetic", level=1)
examples = task.examples("validation", limit=20)

# The same questions as a task of the harness.
prompts = [task.prompt(example) for example in examples]
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
for chooses in ({"program": "14:15x2"}, {"policy": "smollm2-135m/arithmetic"}):
    model = SkiploopLM("smollm2-135m", **chooses)
    found = simple_evaluate(model=model, tasks=[harness_task], bootstrap_iters=0)
    share = found["results"]["one-digit"]["exact_match,none"]
    print(f"{chooses}: {share * len(examples):.0f} of {len(examples)} right")
    print("  ran", found["config"]["programs"])
