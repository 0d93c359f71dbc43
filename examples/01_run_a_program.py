"""Skip some layers of a frozen model and run others twice, each prompt its own way.

python examples/01_run_a_program.py
"""

import skiploop

stack = skiploop.load("smollm2-135m")
print(f"{stack.name}: {stack.n_layers} layers")

# The plain model, one that skips layers 20 and 21, one that runs layers 10 and 11 twice.
programs = [
    skiploop.Program.identity(stack.n_layers),
    skiploop.Program.parse("20:22x0", stack.n_layers),
    skiploop.Program.parse("10:12x2", stack.n_layers),
]
prompt = "Q: What is 7 + 5?\nA: 7 + 5 ="

# One mixed batch: rows that need the same layer at the same time share one call.
completions = stack.generate([prompt] * len(programs), programs, max_new_tokens=8, stop=["\n"])
for completion in completions:
    program = completion.program
    print(f"{program!s:>10}  {program.n_slots} layers  {completion.text!r}")

# A program as an ordinary Hugging Face model: same class, no copied weights.
view = stack.view(programs[2])
inputs = stack.tokenizer(prompt, return_tensors="pt")
output = view.generate(**inputs, max_new_tokens=8, do_sample=False)
print("view:", repr(stack.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])))

# Multiple choice by likelihood.
answer = stack.choose([prompt], [[" 11", " 12", " 13"]], programs[0])[0]
print(f"choice: {answer.text!r}, log-probability {answer.logprob:.2f}")
