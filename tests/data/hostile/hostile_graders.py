"""Graders that misbehave, loaded by the grading processes in the tests."""

import os
import sys
import time

from skiploop.tasks.base import Grade


def equal(text, gold):
    return Grade(text == gold, text)


def wait(text, gold):
    time.sleep(1)
    return equal(text, gold)


def hang(text, gold):
    time.sleep(60)


def compute_forever(text, gold):
    return Grade(gold == 9**9**9**9)


def take_memory(text, gold):
    return Grade(len(bytearray(4 * 2**30)) == 0)


def crash(text, gold):
    os._exit(3)


def fail(text, gold):
    raise ValueError(f"cannot read {text!r}")


def print_noise(text, gold):
    sys.stdout.write("ready\n{}\n")
    os.write(1, b"noise\n")
    return Grade(True, text)


def loaded_modules(text, gold):
    return Grade("torch" in sys.modules, " ".join(sorted(sys.modules)))
