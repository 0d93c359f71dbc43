"""Tallies that note what they are told, or stop the work."""

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


class Raises(Notes):
    """Raises an error once it is told about trials for the so-manieth time."""

    def __init__(self, error, at=1):
        super().__init__()
        self._error, self._n_left = error, at

    def __call__(self, trials):
        super().__call__(trials)
        self._n_left -= 1
        if not self._n_left:
            raise self._error
