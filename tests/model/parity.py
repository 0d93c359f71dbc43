"""Tasks for tiny random models: about half of all answers are right, whatever they say."""

import hashlib

from skiploop.tasks.base import Example, Grade, check_split, take


class ParityTask:
    """An answer is right if its hash is even; texts that hold `ungradable` cannot be graded."""

    name = "parity"
    version = "1"
    max_new_tokens = 4
    stop = ("\n",)

    def __init__(self, ungradable="\0"):
        self.ungradable = ungradable
        self.n_graded = 0

    def examples(self, split, limit=None):
        check_split(split)
        examples = [Example(f"{split}-{i}", f"{split[0]}{i} is", "even") for i in range(20)]
        return take(examples, split, limit, self.name)

    def prompt(self, example):
        return f"{example.question} "

    def draft(self, example):
        return ""

    def can_only_be_wrong(self, example, beginning):
        return False

    def grade(self, example, text):
        self.n_graded += 1
        if self.ungradable in text:
            return Grade(None, reason="ungradable")
        digest = hashlib.sha256(f"{example.id} {text}".encode()).digest()
        return Grade(digest[0] % 2 == 0, answer=text)

    def grade_many(self, examples, texts):
        return [self.grade(e, t) for e, t in zip(examples, texts, strict=True)]


class FirstLetterTask(ParityTask):
    """An answer is right if it starts with one of half of all characters."""

    name = "first-letter"

    def draft(self, example):
        return "the"

    def can_only_be_wrong(self, example, beginning):
        return bool(beginning) and not self.grade(example, beginning).correct

    def grade(self, example, text):
        digest = hashlib.sha256(f"{example.id} {text[:1]}".encode()).digest()
        return Grade(digest[0] % 2 == 0, answer=text[:1])
