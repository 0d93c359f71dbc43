"""The forms of a program, each of which says all of it."""

import json
import pickle

from skiploop import Program


def check_forms(program):
    """Check that a program survives text, JSON, segments and pickle."""
    n = program.n_layers
    assert Program.parse(str(program), n) == program
    assert Program.from_json(json.loads(json.dumps(program.to_json()))) == program
    assert Program.from_segments(program.segments(4), n) == program
    loaded = pickle.loads(pickle.dumps((program, program.layer_inputs)))
    assert loaded == (program, program.layer_inputs)
