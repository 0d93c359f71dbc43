"""A tally that notes what it is told."""

from skiploop.trials.progress import Tally


class Notes(Tally):
    """Notes finished trials, and how many answers came and were to come."""

    def __init__(self):
        self.trials, self.n_others, self.n_expected = [], 0, 0

    def __call__(self, trials):
        self.trials += trials

    def count(self, n_answers):
        self.n_others += n_answers

    def expect(self, n_answers):
        self.n_expected += n_answers
