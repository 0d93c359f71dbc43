"""Ask a policy what it chooses for a question and why, then let the model answer."""

import torch

import skiploop

torch.set_num_threads(1)
stack = skiploop.load("smollm2-135m")
policy = skiploop.load_policy("smollm2-135m/words", stack)
plain = skiploop.Program.identity(stack.n_layers)

for question in ("plural of mouse", "adjective among: sing, heavy, walk"):
    prompt = policy.form.prompt(question)
    considered = policy.why(prompt).considered
    chosen = considered[0].program
    expected = {one.program: one for one in considered}
    print(f"{question}: {chosen}")
    for one in considered[:3]:
        over = one.utility - expected[plain].utility
        print(
            f"  {one.program!s:>12}  {one.program.n_slots} layer passes, "
            f"expected score {one.score:.3f}, {over:+.3f} over the plain model"
        )
    answers = stack.generate(
        [prompt, prompt],
        [plain, chosen],
        max_new_tokens=policy.form.max_new_tokens,
        stop=policy.form.stop,
    )
    print("  plain:", answers[0].text.strip(), "| chosen:", answers[1].text.strip())
