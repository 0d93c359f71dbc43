"""Texts and tables beside the benchmarks' results, as pages of the site that the log links."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages."""
    for path in sorted(RESULTS.glob("*.md")):
        files.append(File.generated(config, f"results/{path.name}", content=path.read_text()))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links at the places that the pages have on the site."""
    if page.file.src_uri.startswith("results/"):
        return markdown.replace("](../../docs/", "](../")
    to_root = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({to_root}../benchmarks/results/", f"]({to_root}results/")
