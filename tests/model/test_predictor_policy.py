"""Encoders and the policy, from questions with graded programs to ranked programs."""

import json
import shutil

import families
import pytest
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from skiploop.errors import ConfigError, DataError, RunError, UnsupportedModelError
from skiploop.policies.encoders import LayerStates, TextEncoder, build_encoder, make_encoder
from skiploop.policies.polar.policy import load_predictor
from skiploop.policies.polar.recipe import train
from skiploop.policies.polar.targets import QuestionPrograms, TargetRules
from skiploop.policies.polar.training import TrainConfig
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.stack import LayerStack

LETTERS = "0123456789+-= "
SPACE = ProgramSpace(6)
SUM = Program.parse("1:3x0", n_layers=6)
DIFFERENCE = Program.parse("4:6x2", n_layers=6)
QUICK = TrainConfig(epochs=2, batch_size=16, warmup_steps=2)


def letter_tokenizer():
    vocabulary = {letter: i for i, letter in enumerate(["<pad>", "<unk>", *LETTERS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<pad>"
    )


def small_llama(seed=0):
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=6,
        num_attention_heads=2,
        vocab_size=len(LETTERS) + 2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


class CountingStack(LayerStack):
    """A stack that remembers what it was asked to encode."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoded = []

    def hidden_states(self, prompts, layer):
        self.encoded += prompts
        return super().hidden_states(prompts, layer)


def make_stack(seed=0):
    return CountingStack(small_llama(seed), letter_tokenizer(), name=f"llama-{seed}")


@pytest.fixture
def stack():
    return make_stack()


def question(text, *valid):
    return QuestionPrograms(text, text, valid)


def planted(first, last):
    """Return questions of two kinds, each answered by a program of its own."""
    sums = [question(f"{a}+{a * 7 % 30}=", SUM) for a in range(first, last)]
    return sums + [question(f"{a}-{a * 7 % 30}=", DIFFERENCE) for a in range(first, last)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    config = TrainConfig(epochs=15, batch_size=16, learning_rate=1e-3)
    policy = train(make_stack(), planted(0, 40), planted(40, 50), SPACE, config, run)
    return run, policy


def test_predictor_learns_which_kind_of_prompt_needs_which_program(trained):
    _, policy = trained
    unseen = planted(60, 90)
    best = [programs[0] for programs in policy.rank([q.prompt for q in unseen], k=1)]
    assert best == [q.valid[0] for q in unseen]


def test_ranked_programs_are_different_and_at_most_k(trained):
    _, policy = trained
    for k in (1, 3, 50):
        for programs in policy.rank(["1+2=", "3-4="], k):
            assert 1 <= len(programs) <= k
            assert len(set(programs)) == len(programs)


def test_why_tells_the_ranked_programs_and_how_likely_each_is(trained):
    _, policy = trained
    considered = policy.why("1+2=").considered
    assert [one.program for one in considered] == policy.rank(["1+2="], len(considered))[0]
    scores = [one.score for one in considered]
    assert scores == sorted(scores, reverse=True) and scores[0] < 0
    assert scores == [one.utility for one in considered]


def test_ranking_does_not_depend_on_the_other_prompts(trained):
    _, policy = trained
    prompts = [q.prompt for q in planted(0, 50)]
    assert policy.rank(prompts, 2) == [policy.rank([prompt], 2)[0] for prompt in prompts]
    assert policy.rank([], 2) == []


def test_loaded_policy_gives_the_same_scores_and_programs(trained):
    run, policy = trained
    loaded = load_predictor(run, make_stack())
    weights, again = policy.network.state_dict(), loaded.network.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
    assert (loaded.space, loaded.origin) == (policy.space, policy.origin)
    assert loaded.encoder.spec == policy.encoder.spec
    prompts = [q.prompt for q in planted(60, 70)]
    assert loaded.rank(prompts, 5) == policy.rank(prompts, 5)


def test_policy_loads_the_model_it_was_made_for(stack, tmp_path):
    stack.model.save_pretrained(tmp_path / "model")
    stack.tokenizer.save_pretrained(tmp_path / "model")
    named = LayerStack(stack.model, stack.tokenizer, name=str(tmp_path / "model"))
    policy = train(named, planted(0, 10), [], SPACE, QUICK, tmp_path)
    assert load_predictor(tmp_path).rank(["1+2="], 3) == policy.rank(["1+2="], 3)


def test_predictor_of_another_model_is_refused(trained, stack):
    run, policy = trained
    other = make_stack(seed=1)
    with pytest.raises(RunError, match=r"made for llama-0 .* but llama-1 has") as error:
        load_predictor(run, other)
    assert policy.origin.weights_id == stack.model_id
    assert stack.weights_id in str(error.value)
    assert other.weights_id in str(error.value)


def test_run_without_a_predictor_names_the_command(tmp_path, stack):
    with pytest.raises(RunError, match=f"run 'skiploop train --run {tmp_path}' first"):
        load_predictor(tmp_path, stack)


def test_unfinished_files_are_refused(tmp_path, stack, trained):
    (tmp_path / "predictor").mkdir()
    config = json.loads((trained[0] / "predictor" / "config.json").read_text())
    (tmp_path / "predictor" / "config.json").write_text(json.dumps({"space": config["space"]}))
    with pytest.raises(RunError, match="is not complete"):
        load_predictor(tmp_path, stack)


def test_each_question_with_a_valid_program_is_encoded_once(stack, tmp_path):
    several = [question("1+1=", SUM, DIFFERENCE), question("2+2="), question("1+1=", SUM)]
    train(stack, several, [question("3+3=", SUM), question("4+4=")], SPACE, QUICK, tmp_path)
    assert sorted(stack.encoded) == ["1+1=", "3+3="]


def test_origin_counts_what_was_not_learned_from_and_the_log_says_so(stack, tmp_path, caplog):
    outside = Program.parse("0:5x2", n_layers=6)
    questions = [question("1+1=", SUM, outside), question("2+2="), question("3+3=", outside)]
    counts = train(stack, questions, [], SPACE, QUICK, tmp_path).origin.training
    assert (counts.n_targets, counts.n_questions) == (1, 1)
    assert (counts.n_questions_without, counts.n_outside_space) == (2, 2)
    assert "2 right programs are left out: the predictor knows skips and plain loops" in caplog.text


def test_nothing_valid_is_an_error_that_says_what_to_do(stack, tmp_path):
    with pytest.raises(DataError, match=r"none of 1 questions .* larger --budget"):
        train(stack, [question("1+1=")], [], SPACE, QUICK, tmp_path)
    outside = question("1+1=", Program.parse("0:5x2", n_layers=6))
    with pytest.raises(DataError, match="train with the space of the search"):
        train(stack, [outside], [], SPACE, QUICK, tmp_path)


def test_layer_states_are_the_last_ones_at_unit_scale(stack):
    encoder = LayerStates(stack, max_tokens=4)
    assert encoder.layer == 1  # a quarter of 6
    long, short = encoder.encode(["1+2=3+4=", "5="])
    raw = stack.hidden_states(["1+2=3+4="], 1)[0][-4:]
    assert short.shape == (2, encoder.width)
    torch.testing.assert_close(long.square().mean(1), torch.ones(4))
    torch.testing.assert_close(long * raw.norm(dim=1, keepdim=True) / 32**0.5, raw)


def test_prompts_in_any_order_get_the_states_that_they_have_alone(stack):
    encoder = LayerStates(stack, layer=3)
    prompts = [f"{kind}: 1+1=2. {n}+{n + 1}=" for n in range(40) for kind in ("sum", "add")]
    for prompt, states in zip(prompts, encoder.encode(prompts), strict=True):
        torch.testing.assert_close(states, encoder.encode([prompt])[0])
    assert encoder.encode([]) == []


def test_of_prompts_that_start_alike_no_more_tokens_are_kept_than_differ(stack):
    prompts = ["solved: 1+1=2. 12+7=", "solved: 1+1=2. 3+4=", "solved: 1+1=2. 5="]
    encoder = make_encoder(stack, text_encoder=None, layer=2, prompts=prompts)
    encoded = dict(zip(prompts, encoder.encode(prompts), strict=True))
    own = [stack.tokenizer(prompt[len("solved: 1+1=2. ") :])["input_ids"] for prompt in prompts]
    assert len(encoded[prompts[0]]) == max(map(len, own))
    assert make_encoder(stack, text_encoder=None, layer=2, prompts=["5="] * 2).max_tokens == 1


def test_layers_outside_the_model_are_refused(stack):
    with pytest.raises(ConfigError, match="llama-0 has 6 layers"):
        LayerStates(stack, layer=7)


def test_text_encoder_gives_the_states_of_each_prompt_alone(bert_folder):
    encoder = TextEncoder(bert_folder)
    together = encoder.encode(["12+345=", "6="])
    assert [len(states) for states in together] == [7, 2]
    torch.testing.assert_close(together[1], encoder.encode(["6="])[0])
    ids = torch.tensor([families.tokenizer()("12+345=")["input_ids"]])
    expected = BertModel.from_pretrained(bert_folder)(ids).last_hidden_state[0]
    torch.testing.assert_close(together[0], expected)


def test_text_encoder_reads_the_end_of_a_long_prompt(bert_folder):
    encoder = TextEncoder(bert_folder, max_tokens=3)
    torch.testing.assert_close(encoder.encode(["99999+1="]), encoder.encode(["+1="]))


def test_text_encoder_reads_no_more_of_a_prompt_than_it_can(bert_folder):
    encoder = TextEncoder(bert_folder)
    end = "1234567890" * 3 + "1="  # it has 32 positions
    torch.testing.assert_close(encoder.encode(["99999" + end]), encoder.encode([end]))


def test_text_encoder_is_loaded_on_first_use(tmp_path):
    encoder = TextEncoder(str(tmp_path))
    with pytest.raises(UnsupportedModelError, match="cannot load the text encoder"):
        encoder.encode(["1+1="])


def test_text_encoder_does_not_read_a_pickle(bert_folder, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(bert_folder, folder)
    torch.save(BertModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(
        UnsupportedModelError, match=r"no file named model\.safetensors.*with safetensors"
    ):
        TextEncoder(str(folder)).encode(["1+1="])


def test_policy_with_a_text_encoder_never_asks_the_model(stack, bert_folder, tmp_path):
    config = TrainConfig(epochs=2, batch_size=16, text_encoder=bert_folder)
    policy = train(stack, planted(0, 10), [], SPACE, config, tmp_path)
    loaded = load_predictor(tmp_path, stack)
    assert loaded.rank(["1+2=", "3-4="], 3) == policy.rank(["1+2=", "3-4="], 3)
    assert stack.encoded == []


def test_encoders_are_built_again_from_their_spec(stack, bert_folder):
    for encoder in (LayerStates(stack, layer=2, max_tokens=3), TextEncoder(bert_folder)):
        again = build_encoder(json.loads(json.dumps(encoder.spec)), stack)
        torch.testing.assert_close(again.encode(["1+2="]), encoder.encode(["1+2="]))
    with pytest.raises(ConfigError, match="no prompt encoder"):
        build_encoder({"kind": "tea-leaves"}, stack)


def test_dropping_the_identity_is_part_of_the_recipe(stack, tmp_path):
    both = [question(f"{a}+1=", Program.identity(6), SUM) for a in range(4)]
    config = TrainConfig(epochs=1, targets=TargetRules(identity_weight=0.0))
    assert train(stack, both, [], SPACE, config, tmp_path).origin.training.n_targets == 4
