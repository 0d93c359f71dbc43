"""Programs in the formats of RYS, llm-circuit-finder, TALE and mergekit."""

import json

import exchanged
import pytest
from exchanged import PROGRAMS

from skiploop.errors import DataError, ProgramError
from skiploop.exchange.contents import Contents
from skiploop.exchange.formats import find_format


def read(name, text, tmp_path, file="file.txt"):
    path = tmp_path / file
    path.write_text(text)
    found = exchanged.read(name, path)
    return [str(program) for program in found.programs], found.left_out


def refused(name, text, tmp_path, file="file.txt"):
    with pytest.raises(DataError) as caught:
        read(name, text, tmp_path, file)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / file}")


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("2,5", "2:5x2"),
        ("(2, 5)", "2:5x2"),
        ("0,0", "identity"),
        ("blocks:1,3;5,7", "1:3x2 5:7x2"),
        ("2,4;2,4", "2:4x3"),
        ("layers:0,1,2,2,5,6,7", "2:3x2 3:5x0"),
    ],
)
def test_a_line_of_rys_is_blocks_or_layers(line, program, tmp_path):
    assert read("rys", f"# a comment\n\n{line}\n", tmp_path) == ([program], ())


def test_a_queue_of_rys_holds_the_same_in_json(tmp_path):
    queue = [
        {"idx": 0, "layers": [0, 1, 2, 3, 4, 5, 6, 7]},
        {"idx": 1, "key": [2, 5]},
        {"idx": 2, "spec": "layers:0,1,2,3,4,5"},
        [3, 4],
        "1,2",
    ]
    expected = ["identity", "2:5x2", "6:8x0", "3:4x2", "1:2x2"]
    assert read("rys", json.dumps(queue), tmp_path)[0] == expected


def test_overlapping_blocks_of_rys_that_are_no_program_are_left_out(tmp_path):
    programs, left_out = read("rys", "3,6;4,6\n1,2\n", tmp_path)
    assert programs == ["1:2x2"]
    assert left_out[0].startswith("line 1: path position")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5,2", ", line 1: 5,2 is no block of a model of 8 layers"),
        ("1,9", ", line 1: 1,9 is no block of a model of 8 layers"),
        ("1,2\nloops:1,2", ", line 2: 'loops:1,2' is not 12,15 or blocks:12,15;20,22 or layers"),
        ("layers:0,8", ", line 1: there is no layer 8 in a model of 8 layers"),
        ('[{"idx": 3}]', ", record 0: none of the fields layers, layer_indices, key, spec, blocks"),
        ("# nothing", ": there are no programs"),
    ],
)
def test_a_wrong_list_of_rys_is_refused(text, message, tmp_path):
    assert refused("rys", text, tmp_path).startswith(message)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("0..4,2,3,4,5..7", "2:5x2"),
        ("0..4, 2..4, 5..7", "2:5x2"),
        ("0..1,4..7", "2:4x0"),
        ("0,1..3,3,3,4..7", "3:4x3"),
        ('{"dup_start": 2, "dup_end": 5, "math_score": 0.7}', "2:5x2"),
        ('{"is_baseline": true, "dup_start": -1, "dup_end": -1}', "identity"),
    ],
)
def test_a_path_of_circuit_finder_holds_both_ends_of_a_range(line, program, tmp_path):
    assert read("circuit-finder", f"{line}\n", tmp_path) == ([program], ())


def test_attention_alone_is_left_out_by_name(tmp_path):
    programs, left_out = read("circuit-finder", "0..4,-4,5..7\n0..7\n", tmp_path)
    assert programs == ["identity"]
    assert left_out == ("line 1: -4 is the attention of a layer without the rest of it",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0..3,x", ", line 1: 'x' is not a layer such as 12 or a range such as 12..14"),
        ("3..0", ", line 1: '3..0' is not a layer"),
        ("0..8", ", line 1: there is no layer 8 in a model of 8 layers"),
        ('{"dup_start": 2}', ", line 1: field 'dup_end' is missing"),
        ('{"dup_start": 2', ", line 1: no JSON"),
        ('{"dup_start": 5, "dup_end": 9}', ", line 1, dup_start: 5 to 9 is no block of a model"),
    ],
)
def test_a_wrong_path_is_refused_by_its_line(text, message, tmp_path):
    assert refused("circuit-finder", text, tmp_path).startswith(message)


def test_every_file_of_tales_search_is_read(tmp_path):
    accepted = [
        {"iteration": 0, "accepted_layer_0idx": None, "accuracy": 0.5, "drop_layers_0idx": []},
        {"iteration": 1, "accepted_layer_0idx": 3, "accuracy": 0.6, "drop_layers_0idx": [3]},
        {"iteration": 2, "accepted_layer_0idx": 6, "accuracy": 0.6, "drop_layers_0idx": [3, 6]},
    ]
    expected = ["identity", "3:4x0", "3:4x0 6:7x0"]
    assert read("tale", json.dumps(accepted), tmp_path, "accepted_configs.json")[0] == expected
    summary = {f"{which}_drop_layers_0idx": [3, 6] for which in ("final", "best", "bsba")}
    assert read("tale", json.dumps(summary), tmp_path, "summary.json")[0] == expected[2:]
    table = (
        'iteration,candidate_layer_0idx,accuracy,drop_layers_0idx\n1,0,0.5,[0]\n2,1,0.4,"[0, 1]"'
    )
    assert read("tale", table, tmp_path, "candidate_results.csv")[0] == ["0:1x0", "0:2x0"]


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        ('[{"iteration": 0}]', "a.json", ", record 0: field 'drop_layers_0idx' is missing"),
        ('[{"drop_layers_0idx": [8]}]', "a.json", ", record 0, drop_layers_0idx: there is no la"),
        ("a,b\n1,2", "a.csv", ", record 0, drop_layers_0idx: None is not a list of layers"),
        ("drop_layers_0idx\n[1", "a.csv", ", record 0, drop_layers_0idx: '[1' is not a list"),
    ],
)
def test_a_wrong_file_of_tale_is_refused(text, file, message, tmp_path):
    assert refused("tale", text, tmp_path, file).startswith(message)


def test_sets_of_tale_hold_no_loops(tmp_path):
    loop = Contents(programs=PROGRAMS[2:3])
    with pytest.raises(ProgramError, match="2:5x2 does more than to skip layers, and TALE"):
        find_format("tale", "export").write(tmp_path / "out", loop, exchanged.MODEL)


def merge(*ranges, **more):
    slices = [{"sources": [{"model": "m", "layer_range": list(part)}]} for part in ranges]
    return json.dumps({"merge_method": "passthrough", "slices": slices, "dtype": "float32", **more})


def test_a_passthrough_merge_is_a_program(tmp_path):
    assert read("mergekit", merge((0, 5), (3, 8)), tmp_path, "m.yml")[0] == ["3:5x2"]
    assert read("mergekit", merge((0, 3), (5, 8)), tmp_path, "m.yml")[0] == ["3:5x0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (merge((0, 8), merge_method="slerp"), ", merge_method: 'slerp' is not passthrough"),
        (merge((0, 9)), ", slice 0, layer_range: [0, 9] is no part of a model of 8 layers"),
        (merge((0, 4, 8)), ", slice 0, layer_range: [0, 4, 8] is not a range such as [0, 15]"),
        (merge(slices=[{"sources": []}]), ", slice 0, sources: 0 of them: a program has one mod"),
        (merge().replace('"m"', '"n"'), ": slices of 0 models: a program has one"),
        (
            merge((0, 8)).replace('"layer_range"', '"parameters": {"scale": 2}, "layer_range"'),
            ", slice 0, parameters: they change weights, which no program does",
        ),
        (
            merge((0, 4), (4, 8)).replace('"m", "layer_range": [4', '"n", "layer_range": [4'),
            ": slices of 2 models: a program has one",
        ),
    ],
)
def test_a_merge_that_is_no_program_is_refused(text, message, tmp_path):
    assert refused("mergekit", text, tmp_path, "m.yml").startswith(message)


def test_a_merge_whose_layers_are_out_of_order_is_refused(tmp_path):
    with pytest.raises(ProgramError, match=r"m\.yml: path position 4 goes back to layer 0"):
        read("mergekit", merge((4, 8), (0, 4)), tmp_path, "m.yml")


def test_layers_are_written_for_tools_and_read_as_paths(tmp_path):
    find_format("layers", "export").write(
        tmp_path / "out", Contents(programs=PROGRAMS), exchanged.MODEL
    )
    assert (tmp_path / "out").read_text().splitlines()[1] == "0,3,4,5,6,7"
    assert exchanged.read("circuit-finder", tmp_path / "out").programs == PROGRAMS


def test_several_programs_are_refused_where_there_is_place_for_one(tmp_path):
    with pytest.raises(ProgramError, match="mergekit holds one program, not 2: give one"):
        find_format("mergekit", "export").write(
            tmp_path / "out", Contents(programs=PROGRAMS[:2]), exchanged.MODEL
        )


def test_a_list_names_the_line_that_is_no_program(tmp_path):
    assert refused("text", "identity\n3:5y0\n", tmp_path).startswith(", line 2: in program '3:5y0'")
