"""The model `skiploop` of lm-evaluation-harness, against the harness's own `hf`."""

import shutil
from importlib.metadata import entry_points
from pathlib import Path

import families
import planted
import pytest

import skiploop
from skiploop import Program
from skiploop.errors import BatchError, ConfigError

pytest.importorskip("lm_eval")
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from skiploop.integrations.lm_eval import SkiploopLM

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the harness and its packages

TASKS = Path(__file__).parents[1] / "data" / "lm_eval"
NAMES = ("skiploop_choice", "skiploop_rolling", "skiploop_writing")
CHAT = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random model whose tokenizer has a chat template."""
    folder = tmp_path_factory.mktemp("model")
    families.build("llama").save_pretrained(folder)
    tokenizer = families.tokenizer()
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    return str(folder)


def judged(model, arguments, tasks=NAMES, **settings):
    """Return metrics of some tasks, and what the model said to each request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TASKS)  # where the tasks look for their questions
        found = simple_evaluate(
            model=model,
            model_args=arguments,
            tasks=list(tasks),
            task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
            device="cpu",
            batch_size=1,
            bootstrap_iters=0,
            **settings,
        )
    said = {
        task: [sample["filtered_resps"] for sample in samples]
        for task, samples in found["samples"].items()
    }
    return found["results"], said, found["config"]


def assert_equal(found, expected):
    """Compare metrics: shares are the same, what is made of likelihoods is but for rounding."""
    for task, metrics in expected.items():
        assert found[task].keys() == metrics.keys()
        for name, value in metrics.items():
            is_rounded = isinstance(value, float) and not name.startswith(("acc", "exact_match"))
            assert found[task][name] == (pytest.approx(value, rel=1e-6) if is_rounded else value)


def assert_same(found, expected):
    """Compare what was said: texts and greedy marks to the letter, likelihoods but for rounding."""
    for task, answers in expected.items():
        for one, other in zip(found[task], answers, strict=True):
            if task == "skiploop_writing":
                assert one == other
            elif task == "skiploop_rolling":
                assert one == pytest.approx(other, rel=1e-5)
            else:
                assert [greedy for _, greedy in one] == [greedy for _, greedy in other]
                likelihoods = [logprob for logprob, _ in other]
                assert [logprob for logprob, _ in one] == pytest.approx(likelihoods, abs=1e-4)


@pytest.fixture(scope="module")
def plain(folder):
    return judged("hf", {"pretrained": folder, "dtype": "float32"})


@pytest.mark.parametrize("exact", [False, True])
def test_the_plain_model_gets_what_hf_gets(folder, plain, exact):
    found = judged("skiploop", {"pretrained": folder, "exact": exact})
    assert_same(found[1], plain[1])
    assert_equal(found[0], plain[0])
    assert found[2]["programs"] == {"identity": 52}  # two more windows of a long text
    assert found[2]["mean_layer_passes"] == families.N_LAYERS


def test_a_chat_template_is_applied_as_hf_applies_it(folder, plain):
    tasks = ("skiploop_choice", "skiploop_writing")
    expected = judged("hf", f"pretrained={folder},dtype=float32", tasks, apply_chat_template=True)
    found = judged("skiploop", f"pretrained={folder}", tasks, apply_chat_template=True)
    assert_same(found[1], expected[1])
    assert expected[1]["skiploop_writing"] != plain[1]["skiploop_writing"]


def test_a_program_gets_what_hf_gets_on_its_view(folder):
    stack = skiploop.load(folder)
    view = stack.view(Program.parse("1:2x0 3:5x2", families.N_LAYERS))
    expected = judged(HFLM(pretrained=view, tokenizer=stack.tokenizer), None)
    found = judged("skiploop", f"pretrained={folder},program=1:2x0 3:5x2")
    assert_same(found[1], expected[1])
    assert_equal(found[0], expected[0])


@pytest.fixture(scope="module")
def chooser(tmp_path_factory):
    """The model under the policy of a finished run."""
    run = tmp_path_factory.mktemp("planted") / "run"
    shutil.copytree(planted.finished_run(), run)
    return SkiploopLM(policy=str(run))


def requests_of(kind, *arguments):
    return [Instance(kind, {}, one, number) for number, one in enumerate(arguments)]


PROMPTS = [
    f"Question: the {name} {i} on {i}?\nAnswer:" for name in planted.PROGRAMS for i in (3, 5)
]


def test_a_policy_chooses_a_program_for_each_request(chooser):
    chosen = [ranked[0] for ranked in chooser.policy.rank(PROMPTS, 1)]
    assert len(set(chosen)) > 1
    found = chooser.loglikelihood(requests_of("loglikelihood", *[(p, " a") for p in PROMPTS]))
    expected = chooser.stack.loglikelihood(PROMPTS, [" a"] * len(PROMPTS), chosen)
    assert [logprob for logprob, _ in found] == pytest.approx(expected, abs=1e-4)
    settings = {"until": ["."], "max_gen_toks": 6}
    texts = chooser.generate_until(requests_of("generate_until", *[(p, settings) for p in PROMPTS]))
    completions = chooser.stack.generate(PROMPTS, chosen, max_new_tokens=6, stop=["."])
    assert texts == [completion.text for completion in completions]
    programs = chooser.get_model_info()["programs"]
    assert sum(programs.values()) == 2 * len(PROMPTS)
    assert len(programs) == len(set(chosen))


def test_a_policy_without_a_context_to_choose_by_is_refused(chooser):
    for kind, arguments in (("loglikelihood", ("", " a")), ("loglikelihood_rolling", ("a b c",))):
        with pytest.raises(ConfigError, match="give program="):
            getattr(chooser, kind)(requests_of(kind, arguments))


def test_requests_with_other_settings_are_answered_in_their_places(chooser):
    short, long = {"until": ["."], "max_gen_toks": 2}, {"until": ["."], "max_gen_toks": 8}
    drawn = {"do_sample": True, "temperature": 2.0, "max_gen_toks": 8}
    asked = [(PROMPTS[0], settings) for settings in (short, long, drawn, short, drawn)]
    texts = chooser.generate_until(requests_of("generate_until", *asked))
    assert texts[0] == texts[3]
    assert texts[1].startswith(texts[0]) and len(texts[1]) > len(texts[0])
    assert texts[2] != texts[4]  # each has the seed of its place
    assert texts == chooser.generate_until(requests_of("generate_until", *asked))


def test_what_the_engine_cannot_do_is_refused_by_name(chooser, folder):
    with pytest.raises(ConfigError, match="generation_kwargs holds num_beams"):
        chooser.generate_until(requests_of("generate_until", ("a", {"num_beams": 4})))
    with pytest.raises(BatchError, match="a continuation has 200 tokens"):
        chooser.loglikelihood(requests_of("loglikelihood", ("a", "b" * 200)))
    with pytest.raises(ConfigError, match="give program or policy, not both"):
        SkiploopLM(folder, program="1:2x0", policy="RUN")


def test_the_harness_finds_the_model_as_an_entry_point():
    assert entry_points(group="lm_eval.models")["skiploop"].load() is SkiploopLM
