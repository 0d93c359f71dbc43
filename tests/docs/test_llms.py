"""The page for language models names every page of the docs."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_it_links_every_page_but_decisions():
    linked = set(re.findall(r"\]\((\S+\.md)\)", (DOCS / "llms.txt").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert linked == {page for page in pages if not page.startswith("decisions/")} - {"README.md"}
