"""Stands in for the datasets package: the same call, the columns of the real data sets, made rows.

Put this folder first on the import path and the hub tasks read from here.
"""

LETTERS = "ABCDEFGHIJ"


class Table:
    def __init__(self, rows):
        self.rows = list(rows)

    @property
    def column_names(self):
        return list(self.rows[0])

    def select_columns(self, columns):
        return Table({name: row[name] for name in columns} for row in self.rows)

    def __iter__(self):
        return iter(self.rows)


def load_dataset(repository, config=None, *, split):
    maker = _MAKERS.get((repository, config, split))
    if maker is None:
        raise ConnectionError(f"Couldn't reach {repository!r} on the Hub (offline)")
    return Table(maker())


def _gsm8k(n, first):
    for i in range(first, first + n):
        solution = f"He has {i} + 1000 = <<{i}+1000={i + 1000}>>{i + 1000}.\n#### {i + 1000:,}"
        yield {"question": f"Al has {i} nuts and finds 1000. How many now?", "answer": solution}


def _asdiv():
    for i in range(2100):
        row = {"body": f"Bo saw {i} birds.", "question": "How many wings?", "formula": f"{i}*2"}
        answer = "3 (owls); 4 (jays)" if i % 100 == 7 else f"{2 * i} (wings)"
        yield {**row, "answer": answer, "solution_type": "Multiplication"}


def _mawps(n, first):
    for i in range(first, first + n):
        yield {
            "id": f"mawps__{i}",
            "question": f"Cy shares {i} pies with 8 friends. How many for each?",
            "result": str(i // 9) if i % 9 == 0 else f"{i}/9",
            "result_float": i / 9,
        }


def _mmlu_pro():
    for i in range(1800):
        yield {
            "question_id": i,
            "question": f"What is {i} + 2?",
            "options": [str(i + k) for k in range(4 + i % 7)],
            "answer": "C",
            "answer_index": 2,
            "category": "math",
        }


def _arc(n, first):
    for i in range(first, first + n):
        labels = list("1234") if i % 5 == 0 else list("ABCD")
        texts = [f"stone {i}", f"river {i}", f"cloud {i}", f"leaf {i}"]
        choices = {"text": texts, "label": labels}
        key = labels[i % 4]
        yield {
            "id": f"Q{i}",
            "question": f"Which of {i} things?",
            "choices": choices,
            "answerKey": key,
        }


def _dart_pool(name, n):
    for i in range(n):
        for _ in range(1 + i % 2):  # the pools repeat a question for every sampled answer
            yield {
                "query_id": f"{name}-{i}",
                "query": f"Compute $\\frac{{{i}}}{{7}}$ for {name}.",
                "gt_ans": f"\\frac{{{i}}}{{7}}",
                "domain": "Prealgebra",
                "resp": "...",
            }


def _dart_info(name, n):
    for i in range(n):
        yield {"query_id": f"{name}-{i}", "pass_rate": 1 - (i * 37 % n) / n, "level": 1}


_DART = "hkust-nlp/dart-math-pool"
_MAKERS = {
    ("openai/gsm8k", "main", "train"): lambda: _gsm8k(1600, 0),
    ("openai/gsm8k", "main", "test"): lambda: _gsm8k(600, 1590),
    ("EleutherAI/asdiv", None, "validation"): _asdiv,
    ("MU-NLPC/Calc-mawps", None, "train"): lambda: _mawps(1089, 0),
    ("MU-NLPC/Calc-mawps", None, "validation"): lambda: _mawps(1040, 1089),
    ("MU-NLPC/Calc-mawps", None, "test"): lambda: _mawps(520, 2128),
    ("TIGER-Lab/MMLU-Pro", None, "test"): _mmlu_pro,
    ("allenai/ai2_arc", "ARC-Challenge", "train"): lambda: _arc(1119, 0),
    ("allenai/ai2_arc", "ARC-Challenge", "validation"): lambda: _arc(299, 1119),
    ("allenai/ai2_arc", "ARC-Challenge", "test"): lambda: _arc(1172, 1418),
    (f"{_DART}-math", None, "train"): lambda: _dart_pool("math", 5100),
    (f"{_DART}-math-query-info", None, "train"): lambda: _dart_info("math", 5100),
    (f"{_DART}-gsm8k", None, "train"): lambda: _dart_pool("gsm8k", 5000),
    (f"{_DART}-gsm8k-query-info", None, "train"): lambda: _dart_info("gsm8k", 5000),
}
