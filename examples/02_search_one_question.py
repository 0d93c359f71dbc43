"""Search programs for one question: a searcher proposes, the model answers, the task judges."""

import torch

import skiploop
from skiploop.search.protocol import Outcome
from skiploop.search.tree import Tree

torch.set_num_threads(1)
stack = skiploop.load("smollm2-135m")
task = skiploop.get_task("arithmetic", level=2)
example = task.examples("train", limit=4)[3]
tree = Tree(skiploop.ProgramSpace(stack.n_layers), seed=0)

print(f"question: {example.question} (answer: {example.gold})")
for _ in range(12):
    (program,) = tree.ask(1)
    (completion,) = stack.generate(
        [task.prompt(example)], program, max_new_tokens=task.max_new_tokens, stop=task.stop
    )
    grade = task.grade(example, completion.text)
    tree.tell(program, Outcome(grade.correct))
    verdict = {True: "right", False: "wrong", None: "not graded"}[grade.correct]
    print(f"{completion.text:>6}  {verdict}  {program.n_slots:2} layer passes  {program}")
