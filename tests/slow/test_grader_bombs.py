"""Thousands of answers that are made to hang a grader, or to fill its memory: none does.

Run `pytest -m slow -s tests/slow/test_grader_bombs.py` to see what became of them.
"""

import collections
import multiprocessing
import random
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from skiploop import graders
from skiploop.graders.exact import grade_integer
from skiploop.graders.isolate import GraderPool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

N_BOMBS, N_COMPARED = 10_000, 300
SECONDS = 1.0
"""That the pool gives to one answer; starting a process anew comes on top."""
GIGABYTE = 2**20  # ru_maxrss counts in KiB
GOLD = "7"
SIGNS = "\0\u202e\ud800\u200b٣½²∞∑√Ⅶ７{}()[]^_\\$%,.;:/*+-=<>|&#~'\"\n\t"


def power(source):
    return source.choice(["^", "**"]).join(
        source.choice("23789") for _ in range(source.randrange(2, 9))
    )


def towers(source):
    n = source.randrange(1, 60)
    return "9^{" * n + "9" + "}" * n


def brackets(source):
    sign, n = source.choice("([{"), source.choice([3, 30, 120, 240])
    return sign * n + "7" + source.choice(["", {"(": ")", "[": "]", "{": "}"}[sign] * n])


def nested(source):
    what = source.choice([r"\frac{1}{", r"\sqrt{", r"\left(", "-(", "{1+"])
    n = source.randrange(1, 40)
    return what * n + "7" + source.choice(["", "}" * n, ")" * n])


def megabytes(source):
    return source.choice(["7", "(", "1,", "9^", "\\frac", " ", "٣"]) * source.choice([10**5, 10**6])


def repeated(source):
    """What makes a pattern with two ways to read it try all of them."""
    return source.choice(["1,", "a ", "1 ", "x+", "0.", "--", "\\ ", "1/", "aA"]) * source.choice(
        [20, 60, 120, 249]
    ) + source.choice(["", "!", "b", "\0"])


def factorials(source):
    return source.choice(
        ["9" * source.randrange(1, 9) + "!" * source.randrange(1, 9), "10^{10^{10}}!"]
    )


def signs(source):
    return "".join(source.choice(SIGNS + "0123456789xabc") for _ in range(source.randrange(1, 80)))


def sums(source):
    return r"\sum_{i=1}^{" + "9" * source.randrange(1, 12) + "} i^" + power(source)


BOMBS = (power, towers, brackets, nested, megabytes, repeated, factorials, signs, sums)


def tell(verdicts, more, where):
    """Tell what became of some answers, and refuse what took a gigabyte for them."""
    sys.stdout.write(
        f"{len(verdicts)} verdicts, {dict(collections.Counter(verdicts))}, "
        f"{more // 1024} MB {where} at most\n"
    )
    assert more < GIGABYTE


def peak(of):
    return resource.getrusage(of).ru_maxrss


def compare_formulas():
    """Return the verdict of each bomb and of the right answer after it, and the pool's peak."""
    sources = [random.Random(seed) for seed in range(N_COMPARED)]
    bombs = [rf"\boxed{{{source.choice(BOMBS)(source)}}}" for source in sources]
    texts = [text for bomb in bombs for text in (bomb, rf"\boxed{{{GOLD}}}")]
    limits = {"time_limit_s": SECONDS, "memory_limit_bytes": 2**30}
    with GraderPool(n_workers=1, **limits) as pool:
        found = graders.grade_math(texts, [GOLD] * len(texts), pool=pool)
    verdicts = [grade.correct for grade in found]
    return verdicts[::2], verdicts[1::2], peak(resource.RUSAGE_CHILDREN)


def test_graders_that_read_answers_here_take_milliseconds():
    slowest, verdicts, before = 0.0, [], peak(resource.RUSAGE_SELF)
    for seed in range(N_BOMBS):
        source = random.Random(seed)
        text = source.choice(BOMBS)(source)
        started = time.process_time()
        found = [
            graders.grade_number(text, GOLD),
            graders.grade_first_number(text, GOLD),
            grade_integer(text, GOLD),
            graders.grade_text(text, GOLD),
            graders.grade_choice(text, ("7", "red"), GOLD),
        ]
        slowest = max(slowest, time.process_time() - started)
        verdicts += [grade.correct for grade in found]
    tell(verdicts, peak(resource.RUSAGE_SELF) - before, "more here")
    sys.stdout.write(f"the slowest answer took all five {slowest:.2f} s\n")
    assert slowest < 5


def test_what_hangs_the_comparison_of_formulas_is_ungraded_and_the_next_answer_is_graded():
    # A process of its own, as the system keeps one peak for all children a process ever had.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        bombs, right, most = alone.submit(compare_formulas).result()
    tell(bombs, most, "in a grading process")
    assert all(right)
    assert bombs.count(None) > N_COMPARED / 100
