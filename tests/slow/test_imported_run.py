"""What an import tells to type next goes on with the verdicts of others, to the end."""

import json

import pytest
from polar_samples import PATHS, commands_of, imported, samples, saved_model

from skiploop.cli.main import main


@pytest.mark.slow
def test_the_commands_that_it_prints_go_on_with_its_verdicts(tmp_path, capsys):
    model = saved_model(tmp_path / "model")
    assert imported(tmp_path, model, {"samples": samples()}) == 0
    printed = capsys.readouterr().out
    assert "480 verdicts of 4 programs on 120 questions" in printed
    commands = commands_of(printed)
    few = {"train": [], "menu": [], "evaluate": ["--limit", "3", "--no-controls"]}
    assert [command[0] for command in commands] == ["train", "menu", "train", "evaluate"]
    for command in commands:
        assert main([*command, *few[command[0]]]) == 0, command
    menu = json.loads((tmp_path / "RUN" / "menu.json").read_text())
    assert sorted(menu["programs"]) == sorted(PATHS)
