r"""Verdicts on `\boxed{...}` answers: find the answer here, compare it in another process.

Extraction follows the published grader (dart-math's evaluator behind a gate that wants a box);
numbers are compared exactly, all else by math-verify, with the gold answer first. The deliberate
differences are listed in docs/reference/graders.md.

Source: arXiv 2606.06574, appendix D.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from skiploop.box import BOX, box_end, first_box_end
from skiploop.extras import brought_by
from skiploop.graders.grade import Grade
from skiploop.graders.isolate import GraderPool, Job, shared_pool
from skiploop.graders.number import read_number
from skiploop.graders.spelling import unspaced

MAX_ANSWER_LENGTH = 500
"""Characters beyond which an answer is not compared but left ungraded."""

_MARKERS = ("herefore", "####")
_COMPARE = "skiploop.graders.equivalence:grade_equivalent"


def extract_answer(text: str) -> str | None:
    r"""Return the final answer in a text that has a box, or None if it has none.

    What follows the last `####`, or else the last "herefore", replaces the boxes before it. Of
    several boxes the last one counts. A box that is never closed reaches to the end of the text.

    Example:
        >>> extract_answer(r"\boxed{7} or \boxed{\frac{1}{2}}")
        '\\frac{1}{2}'
        >>> extract_answer(r"\boxed{8} #### 9")
        '9'
        >>> extract_answer("8") is None
        True
    """
    if BOX not in text:
        return None
    for marker in _MARKERS:
        text = text.rpartition(marker)[2]
    before, box, _ = text.rpartition(BOX)
    if box:
        start = len(before) + len(box)
        return text[start : box_end(text, start)].strip()
    answer = text.rpartition("answer is")[2].strip(" \n\t,:")
    return answer.split("\n")[0].rstrip(" .").strip("$")


def truncate_after_first_box(text: str) -> str:
    """Return the text up to the end of its first box if it holds two boxes or more.

    RE-PoLar cuts so before grading, because a model that goes on after its answer may write
    another box; PoLar does not, there the last box counts.
    """
    if text.count(BOX) < 2:
        return text
    end = first_box_end(text)
    return text if end is None else text[: end + 1]


def grade_math(
    texts: Sequence[str], golds: Sequence[str], *, pool: GraderPool | None = None
) -> list[Grade]:
    """Return whether each boxed answer is mathematically equal to its gold answer.

    Args:
        texts: What the model wrote.
        golds: The right answers, as LaTeX or plain text, without a box.
        pool: The processes that compare; the shared ones if not given.

    Returns:
        One verdict a text. No box is wrong ("no box"). An answer that is too long, or takes too
        much time or memory to compare, is None with the reason.

    Raises:
        GraderError: The grading processes could not be started.
        MissingExtraError: An answer is no plain number, and math-verify is not installed.

    Cost:
        Microseconds where both are numbers, else a few milliseconds a boxed answer; seconds once
        for starting a process.
    """
    grades: dict[int, Grade] = {}
    jobs: dict[int, Job] = {}
    for index, (text, gold) in enumerate(zip(texts, golds, strict=True)):
        answer = extract_answer(text)
        if answer is None:
            grades[index] = Grade(correct=False, reason="no box")
        elif not answer:
            grades[index] = Grade(correct=False, reason="empty answer")
        elif len(answer) > MAX_ANSWER_LENGTH:
            reason = f"answer of {len(answer)} characters, more than {MAX_ANSWER_LENGTH}"
            grades[index] = Grade(None, answer[:MAX_ANSWER_LENGTH], reason)
        else:
            correct = _compare_numbers(answer, gold)
            if correct is None:
                jobs[index] = Job(_COMPARE, (answer, gold))
            else:
                grades[index] = Grade(correct, _one_writing(answer))
    if jobs:
        math_verify_version()
        verdicts = (pool or shared_pool()).grade_many(list(jobs.values()))
        for (index, job), verdict in zip(jobs.items(), verdicts, strict=True):
            grades[index] = replace(verdict, answer=_one_writing(str(job.arguments[0])))
    return [grades[index] for index in range(len(texts))]


def math_verify_version() -> str:
    """Return the version of the package that compares.

    Raises:
        MissingExtraError: It is not installed.
    """
    with brought_by("math", "boxed answers are compared by the package math-verify"):
        return version("math-verify")


def _one_writing(answer: str) -> str:
    """Return the number that an answer is, or else the formula without its spelling."""
    number = read_number(answer)
    return str(number) if number else unspaced(answer)


def _compare_numbers(answer: str, gold: str) -> bool | None:
    """Return whether both are the same number, None if one of them is not plainly a number."""
    found, expected = read_number(answer), read_number(gold)
    return None if found is None or expected is None else found.equals(expected)
