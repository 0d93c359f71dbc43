"""Every program of a small space, by growing the identity edit by edit."""

from skiploop import Program


def all_programs(space):
    found, todo = {Program.identity(space.n_layers)}, [Program.identity(space.n_layers)]
    while todo:
        program = todo.pop()
        grown = {program.with_edit(edit) for edit in space.edits(program)} - found
        found |= grown
        todo += grown
    return found
