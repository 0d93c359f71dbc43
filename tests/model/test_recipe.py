"""A recipe takes the place of its model and of its policy, from a folder or the hub."""

import json
import shutil

import families
import huggingface_hub
import pytest
from planted import finished_run

import skiploop
from skiploop import Program
from skiploop.cli.main import main
from skiploop.errors import ConfigError, RunError, UnknownNameError

PROGRAM = "2:4x2"


@pytest.fixture(scope="module")
def recipe(llama_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "out"
    command = ["export", "--model", llama_folder, "--program", PROGRAM, "--out", str(out)]
    assert main(command) == 0
    return out


def changed(recipe, tmp_path, **values):
    data = json.loads((recipe / "recipe.json").read_text())
    del data["sha256"]
    (tmp_path / "recipe.json").write_text(json.dumps({**data, **values}))
    return tmp_path


def test_load_takes_a_recipe_for_its_model(recipe, llama_folder):
    stack, direct = skiploop.load(recipe), skiploop.load(llama_folder)
    assert (stack.name, stack.model_id) == (llama_folder, direct.model_id)
    assert [file.name for file in recipe.iterdir()] == ["recipe.json"]


def test_load_policy_gives_its_program_to_every_prompt(recipe):
    policy = skiploop.load_policy(recipe)
    program = Program.parse(PROGRAM, families.N_LAYERS)
    assert policy.rank(["a", "b"], 2) == [[program], [program]]


def test_both_take_the_name_of_a_repository_on_the_hub(recipe, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(recipe))
    assert skiploop.load("somebody/recipe").n_layers == families.N_LAYERS
    policy = skiploop.load_policy("somebody/recipe")
    assert policy.rank(["a"], 1)[0][0].n_slots == families.N_LAYERS + 2


@pytest.fixture
def weights(llama_folder, tmp_path):
    """A folder of the weights that the planted run was made on, under another name."""
    return shutil.copytree(llama_folder, tmp_path / "weights")


@pytest.mark.parametrize("what", ["program", "run"])
def test_within_the_folder_of_its_weights_a_recipe_loads_by_the_same_name(
    what, weights, llama_folder, tmp_path, capsys
):
    of_run = ["--run", str(finished_run())]
    chosen = _of_program(llama_folder) if what == "program" else of_run
    assert main(["export", *chosen, "--out", str(weights)]) == 0
    place = weights / "skiploop"
    assert str(place) in capsys.readouterr().out and (place / "recipe.json").exists()
    moved = weights.rename(tmp_path / "moved")  # the recipe is of the weights around it
    stack, policy = skiploop.load(moved), skiploop.load_policy(moved)
    assert stack.name == str(moved)
    ranked = skiploop.load_policy(str(moved), stack).rank(["1 + 2 = "], 1)
    assert policy.rank(["1 + 2 = "], 1) == ranked
    assert skiploop.load_policy(moved / "skiploop").rank(["1 + 2 = "], 1) == ranked
    command = ["generate", "a", "--policy", str(moved), "--max-new-tokens", "1", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["model"] == str(moved)
    assert printed["completions"][0]["program"] == str(ranked[0][0])


def test_such_a_folder_on_the_hub_is_model_and_policy(weights, llama_folder, monkeypatch):
    assert main(["export", *_of_program(llama_folder), "--out", str(weights)]) == 0
    asked = []

    def fetched(name, allow_patterns, **_):
        asked.append(allow_patterns)
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert skiploop.load("somebody/model").name == "somebody/model"
    policy = skiploop.load_policy("somebody/model")
    assert policy.rank(["a"], 1)[0][0].n_slots == families.N_LAYERS + 2
    assert asked[0] == "skiploop/*"


def test_the_folder_of_other_weights_takes_no_recipe(weights, tmp_path, capsys):
    other = tmp_path / "other"
    families.build("gpt2").save_pretrained(other)
    families.tokenizer().save_pretrained(other)
    assert main(["export", *_of_program(str(weights)), "--out", str(other)]) == 2
    assert f"what goes into {other / 'skiploop'} is for weights" in capsys.readouterr().err
    assert not (other / "skiploop").exists()


def test_weights_without_a_recipe_are_no_policy(weights):
    with pytest.raises(RunError, match="holds no"):
        skiploop.load_policy(weights, families.load("llama"))


def _of_program(model):
    return ["--model", model, "--program", PROGRAM]


def test_a_shipped_name_that_is_misspelled_is_not_looked_for_on_the_hub():
    with pytest.raises(UnknownNameError, match="did you mean 'smollm2-135m/words'"):
        skiploop.load_policy("smollm2-135m/word")


def test_generate_runs_the_program_of_a_recipe(recipe, capsys):
    command = ["generate", "the end", "--policy", str(recipe), "--max-new-tokens", "2", "--json"]
    assert main(command) == 0
    (completion,) = json.loads(capsys.readouterr().out.splitlines()[-1])["completions"]
    assert completion["program"] == PROGRAM
    assert main(["generate", "--ask", "2 + 3", "--policy", str(recipe)]) == 2
    assert "knows no questions: give a whole prompt" in capsys.readouterr().err


def test_another_model_of_that_name_is_refused(recipe, tmp_path):
    other = changed(recipe, tmp_path, weights="0" * 16)
    with pytest.raises(RunError, match="the recipe was made for weights 0000000000000000, but"):
        skiploop.load(other)
    with pytest.raises(RunError, match="was made for weights 0000000000000000, but"):
        skiploop.load_policy(other, families.load("llama"))


def test_a_damaged_recipe_is_refused(recipe, tmp_path):
    text = (recipe / "recipe.json").read_text()
    for damaged in (text[:40], text.replace(PROGRAM, "2:5x2"), '{"model": "m"}'):
        (tmp_path / "recipe.json").write_text(damaged)
        with pytest.raises(RunError, match=r"recipe\.json is no recipe .* 'skiploop export'"):
            skiploop.load(tmp_path)


def test_a_recipe_of_a_recipe_is_refused(recipe, tmp_path):
    with pytest.raises(ConfigError, match="which is a recipe itself: name a model"):
        skiploop.load(changed(recipe, tmp_path, model=str(recipe)))


def test_an_exported_policy_is_a_recipe_of_its_model(tmp_path):
    out = tmp_path / "policy"
    assert main(["export", "--run", str(finished_run()), "--out", str(out)]) == 0
    made = json.loads((out / "recipe.json").read_text())
    assert made["program"] is None
    stack = skiploop.load(out)
    assert stack.model_id == made["weights"]
    assert skiploop.load_policy(out).rank(["1 + 2 = "], 1) == (
        skiploop.load_policy(out, stack).rank(["1 + 2 = "], 1)
    )
