"""Program views: ordinary Hugging Face models that share the weights of another one."""

import copy
import threading
import types

import families
import pytest
import torch
from families import FAMILIES, N_LAYERS, build, load, stacked_copy, tolerance
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, TextStreamer, pipeline
from transformers.generation import CompileConfig

import skiploop
from skiploop.errors import ProgramError, UnsupportedModelError
from skiploop.programs.program import Program

LOOP, SKIP, MIXED, LONG = (
    Program.parse(text, N_LAYERS) for text in ("2:4x2", "0:1x0 4:5x0", "1:2x0 3:6x2", "0:6x3")
)
PROGRAMS = (LOOP, SKIP, MIXED, LONG)
TOKENS = torch.tensor([[7, 3, 9, 22, 41, 5, 5, 18, 30, 2, 12, 44, 8]])
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def logits(model, tokens=TOKENS, **inputs):
    return model(tokens, use_cache=False, **inputs).logits


def cached_logits(model, tokens, n_prompt, mask=None):
    """Feed the prompt, then one token after the other, as generation does."""
    cache = DynamicCache(config=model.config)
    parts = []
    ends = [n_prompt, *range(n_prompt + 1, tokens.shape[1] + 1)]
    for start, end in zip([0, *ends], ends, strict=False):
        inputs = {}
        if mask is not None:
            positions = (mask[:, :end].cumsum(-1) - 1).clamp(min=0)
            inputs = {"attention_mask": mask[:, :end], "position_ids": positions[:, start:]}
        output = model(tokens[:, start:end], past_key_values=cache, use_cache=True, **inputs)
        parts.append(output.logits)
    return torch.cat(parts, dim=1)


@every_family
def test_identity_view_is_the_plain_model_bit_for_bit(family):
    stack = load(family)
    view = stack.view(Program.identity(N_LAYERS))
    assert torch.equal(logits(view), logits(stack.model))
    assert type(view) is type(stack.model)


@every_family
def test_view_equals_a_model_with_copied_layers(family):
    stack = load(family)
    plain = logits(stack.model)
    for program in PROGRAMS:
        viewed = logits(stack.view(program))
        assert torch.equal(viewed, logits(stacked_copy(stack.model, program)))
        assert (viewed - plain).abs().max() > 0.1  # the program does change the result


@every_family
@pytest.mark.parametrize("program", [LOOP, MIXED], ids=str)
def test_cached_equals_uncached_for_one_unpadded_row(family, program):
    # Two passes that write one slot give wrong logits here, silently, with sdpa.
    view = load(family).view(program)
    atol = tolerance(family)
    torch.testing.assert_close(cached_logits(view, TOKENS, 7), logits(view), rtol=0, atol=atol)


@every_family
def test_left_padded_batch_equals_its_rows_alone(family):
    view = load(family).view(MIXED)
    n_pad = 4
    short = TOKENS[:, n_pad:]
    batch = torch.cat([TOKENS, torch.nn.functional.pad(short, (n_pad, 0))])
    mask = torch.ones_like(batch)
    mask[1, :n_pad] = 0
    cached = cached_logits(view, batch, 9, mask)
    torch.testing.assert_close(cached[0], logits(view)[0], rtol=0, atol=2 * tolerance(family))
    torch.testing.assert_close(
        cached[1, n_pad:], logits(view, short)[0], rtol=0, atol=2 * tolerance(family)
    )


@every_family
def test_view_has_one_slot_per_executed_layer_and_no_weights_of_its_own(family):
    stack = load(family)
    view = stack.view(LOOP)
    cache = view(TOKENS, use_cache=True).past_key_values
    assert len(cache) == LOOP.n_slots == view.config.get_text_config().num_hidden_layers
    own = {weight.data_ptr() for weight in stack.model.parameters()}
    assert {weight.data_ptr() for weight in view.parameters()} == own


def test_config_of_a_view_follows_the_program():
    stack = load("qwen2_sliding")
    config = stack.view(MIXED).config
    types_before = stack.model.config.layer_types
    assert config.layer_types == [types_before[layer] for layer in MIXED.path]
    dense = load("qwen3_moe").view(MIXED).config.mlp_only_layers
    assert dense == [slot for slot, layer in enumerate(MIXED.path) if layer in (1, 4)]


def greedy(model, **settings):
    output = model.generate(
        TOKENS, attention_mask=torch.ones_like(TOKENS), max_new_tokens=8, **settings
    )
    return output[:, TOKENS.shape[1] :].tolist()


class Collector(TextStreamer):
    def __init__(self, tokenizer):
        super().__init__(tokenizer, skip_prompt=True)
        self.text = ""

    def on_finalized_text(self, text, stream_end=False):
        self.text += text


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3_moe", "gpt2"])
@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": True, "temperature": 1.5},
        {"num_beams": 3},
        {"cache_implementation": "static"},
    ],
    ids=["sampling", "beams", "static cache"],
)
def test_generate_on_a_view_equals_generate_on_copied_layers(family, settings):
    stack = load(family)
    written = []
    for model in (stack.view(MIXED), stacked_copy(stack.model, MIXED)):
        torch.manual_seed(3)
        written.append(greedy(model, **settings))
    assert written[0] == written[1]


def test_a_view_streams_its_text():
    stack = load("llama")
    streamer = Collector(stack.tokenizer)
    view = stack.view(LOOP)
    tokens = greedy(view, streamer=streamer)[0]
    assert streamer.text == stack.tokenizer.decode(tokens)


def test_a_view_writes_in_a_pipeline():
    stack = load("llama")
    write = pipeline("text-generation", model=stack.view(MIXED), tokenizer=stack.tokenizer)
    (found,) = write("the end of ", max_new_tokens=8, do_sample=False, return_full_text=False)
    (expected,) = stack.generate(["the end of "], MIXED, max_new_tokens=8)
    assert found["generated_text"] == expected.text


def test_a_skipping_view_drafts_for_the_plain_model_which_writes_the_same():
    stack = load("llama")
    assert greedy(stack.model, assistant_model=stack.view(SKIP)) == greedy(stack.model)


def test_a_skipping_view_drafts_for_a_looping_one():
    stack = load("llama")
    looping = stack.view(LOOP)
    assert greedy(looping, assistant_model=stack.view(SKIP)) == greedy(looping)


@pytest.mark.parametrize("family", ["gemma3", "lfm2"])
def test_a_compiled_view_equals_the_view(family):
    view = load(family).view(MIXED)
    torch._dynamo.reset()
    compiled = torch.compile(view, backend="eager", fullgraph=True)
    torch.testing.assert_close(logits(compiled), logits(view), rtol=0, atol=1e-5)


def test_a_view_does_not_run_the_compiled_call_of_its_base():
    stack = load("llama")
    expected = greedy(stack.view(MIXED))
    torch._dynamo.reset()
    compiling = CompileConfig(backend="eager", fullgraph=False)
    compiling._compile_all_devices = True
    settings = {"cache_implementation": "static", "compile_config": compiling}
    plain = greedy(stack.model, **settings)
    assert "_compiled_call" in vars(stack.model)
    assert greedy(stack.view(MIXED), **settings) == expected != plain


def test_a_view_does_not_run_the_compiled_layers_of_its_base():
    stack = load("llama")
    expected = logits(stack.view(LOOP))
    torch._dynamo.reset()
    for layer in stack.layers:
        layer.compile(backend="eager")
    view = stack.view(LOOP)
    torch.testing.assert_close(cached_logits(view, TOKENS, 7), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["qwen2_moe", "qwen3_moe"])
def test_recorded_outputs_have_one_entry_per_slot(family):
    stack = load(family)
    for program in (LOOP, SKIP):
        output = stack.view(program)(
            TOKENS, use_cache=False, output_router_logits=True, output_hidden_states=True
        )
        dense = [1, 4] if family == "qwen3_moe" else []
        n_routed = sum(layer not in dense for layer in program.path)
        assert len(output.router_logits) == n_routed
        assert len(output.hidden_states) == program.n_slots + 1


def snapshot(model):
    """Everything about the modules of a model that a view could disturb."""
    return {
        name: (
            id(module),
            {k: id(v) for k, v in vars(module).items() if k != "_output_capturing_hooks_installed"},
            {k: id(v) for k, v in module._modules.items()},
            len(module._forward_hooks),
            vars(module).get("layer_idx"),
        )
        for name, module in model.named_modules()
    }, copy.deepcopy([model.config.to_dict(), model.generation_config.to_dict()])


def test_the_base_is_untouched_also_after_an_exception():
    stack = load("gemma3")
    stack.view(LOOP)  # installs the recording hooks, once
    before, plain = snapshot(stack.model), logits(stack.model)

    def fail(module, args):
        raise ArithmeticError

    for program in PROGRAMS:
        view = stack.view(program)
        greedy(view)
        handle = view.get_decoder().layers[1].register_forward_pre_hook(fail)
        with pytest.raises(ArithmeticError):
            logits(view)
        handle.remove()
        view.generation_config.max_new_tokens = 3
        view.set_attn_implementation("eager")
    assert snapshot(stack.model) == before
    assert torch.equal(logits(stack.model), plain)


def test_views_in_threads_do_not_interfere():
    stack = load("qwen3")
    expected = {program: greedy(stack.view(program)) for program in PROGRAMS}
    written = {}

    def write(program):
        with torch.no_grad():
            written[program] = [greedy(stack.view(program)) for _ in range(3)]

    threads = [threading.Thread(target=write, args=(program,)) for program in PROGRAMS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == {program: [tokens] * 3 for program, tokens in expected.items()}


def test_a_converted_base_converts_its_views():
    stack = load("llama")
    view = stack.view(LOOP)
    stack.model.to(torch.float64)
    assert logits(view).dtype == torch.float64


def test_a_copied_view_still_runs_its_program():
    view = load("llama").view(MIXED)
    assert torch.equal(logits(copy.deepcopy(view)), logits(view))


def test_saving_a_looping_view_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="shared"):
        load("llama").view(LOOP).save_pretrained(tmp_path)


def test_a_program_for_another_depth_is_refused():
    with pytest.raises(ProgramError, match=r"made for 8 layers.*has 6"):
        load("llama").view(Program.identity(8))


def test_layers_hooked_by_accelerate_are_refused():
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    model = build("llama")
    add_hook_to_module(model.model.layers[2], AlignDevicesHook(execution_device="cpu"))
    stack = skiploop.load(model)
    with pytest.raises(UnsupportedModelError, match="without device_map"):
        stack.view(LOOP)
    hooked = stack.view(Program.parse("2:3x0", N_LAYERS))  # the hooked layer does not run
    assert logits(hooked).isfinite().all()


def test_a_model_spread_over_devices_is_refused_when_it_is_loaded(tmp_path):
    build("llama").save_pretrained(tmp_path / "model")
    places = dict.fromkeys(
        ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu"
    )
    places |= {f"model.layers.{i}": "disk" if i == 2 else "cpu" for i in range(N_LAYERS)}
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", device_map=places, offload_folder=tmp_path / "offloaded"
    )
    with pytest.raises(UnsupportedModelError, match="without device_map"):
        skiploop.load(model)


def test_layers_without_a_slot_number_are_refused():
    stack = load("llama")
    for layer in stack.layers:
        del layer.self_attn.layer_idx
    with pytest.raises(UnsupportedModelError, match="layer_idx"):
        stack.view(LOOP)


def test_a_forward_pass_replaced_by_hand_is_refused():
    model = build("llama")
    model.forward = types.MethodType(type(model).forward, model)
    with pytest.raises(UnsupportedModelError, match="replaced"):
        skiploop.load(model).view(LOOP)


def test_a_loop_that_looks_things_up_by_place_is_refused():
    with pytest.raises(UnsupportedModelError, match="use stack"):
        load("gemma4").view(LOOP)


def test_layers_that_share_keys_and_values_are_refused():
    config = AutoConfig.for_model(
        **families.COMMON, **families.GEMMA4 | {"num_kv_shared_layers": 2}
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(UnsupportedModelError, match="share keys and values"):
        skiploop.load(model)
