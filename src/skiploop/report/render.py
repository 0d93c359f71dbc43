"""Text from the templates of this room. All that is filled in is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def escaped_markdown(text: object) -> str:
    r"""Return text on one line, in which Markdown sees no cell border, tag, link or emphasis.

    Example:
        >>> escaped_markdown("a|b <i>")
        'a\\|b &lt;i>'
    """
    escaped = str(text)
    for mark in "\\`*_[]|":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").split())


_MARKUP = Environment(
    loader=PackageLoader("skiploop.report"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_MARKDOWN = _MARKUP.overlay(autoescape=False, finalize=escaped_markdown, keep_trailing_newline=True)


def render(name: str, **values: object) -> str:
    """Return a file of `templates/`, HTML, SVG or Markdown, with the values that it names."""
    templates = _MARKDOWN if name.endswith(".md") else _MARKUP
    return templates.get_template(name).render(**values)
