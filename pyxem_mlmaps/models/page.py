"""A page of facts, tables and texts, and how it is written: for the terminal, Markdown, HTML.

Whatever stands in a page is plain text. Cards come from foreign files, so each form escapes what
it would take for markup, and characters that a terminal would obey are shown as "�".
"""

from __future__ import annotations

import html
import re
import textwrap
from typing import NamedTuple

__all__ = ["Page", "Section", "as_html", "as_markdown", "as_text", "html_document"]

WIDTH = 88
MARKUP = re.compile(r"([\\`*_\[\]|~])")


class Section(NamedTuple):
    """A headed part: ``facts`` (label, value), a ``table`` headed by its first row, ``texts`` (a
    list of statements), ``code`` (Python). Each may be empty."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    texts: tuple[str, ...] = ()
    code: str = ""


class Page(NamedTuple):
    """A title, an introduction and sections."""

    title: str
    introduction: str
    sections: tuple[Section, ...]


def as_text(page: Page) -> str:
    """For ``print``."""
    title = _line(page.title)
    lines = [title, "=" * len(title)]
    lines += _wrapped(page.introduction, "")
    for section in page.sections:
        lines += ["", _line(section.title)]
        width = max((len(_line(label)) for label, _ in section.facts), default=0)
        for label, value in section.facts:
            lines += _wrapped(value, f"  {_line(label):{width}s}  ")
        lines += _columns(section.table)
        for text in section.texts:
            lines += _wrapped(text, "  - ")
        lines += [f"    {_line(c)}".rstrip() for c in section.code.splitlines()]
    return "\n".join(lines)


def as_markdown(page: Page) -> str:
    """As GitHub, Zenodo and Jupyter show it."""
    lines = [f"# {_markdown(page.title)}", ""]
    if page.introduction:
        lines += [_markdown(page.introduction), ""]
    for section in page.sections:
        lines += [f"## {_markdown(section.title)}", ""]
        table = section.table or ((("", ""), *section.facts) if section.facts else ())
        for number, row in enumerate(table):
            lines.append(f"| {' | '.join(_markdown(cell) for cell in row)} |")
            if number == 0:
                lines.append("|" + " --- |" * len(row))
        lines += [""] if table else []
        lines += [f"- {_markdown(text)}" for text in section.texts]
        lines += [""] if section.texts else []
        if section.code:
            lines += ["```python", *(_line(c) for c in section.code.splitlines()), "```", ""]
    return "\n".join(lines)


def as_html(page: Page, level: int = 3) -> str:
    """A fragment headed at ``level``, as Jupyter shows it in its own colours."""
    head, part = f"h{level}", f"h{level + 1}"
    parts = [f"<div class='pyxem-mlmaps-card'><{head}>{_html(page.title)}</{head}>"]
    if page.introduction:
        parts.append(f"<p>{_html(page.introduction)}</p>")
    for section in page.sections:
        parts.append(f"<{part}>{_html(section.title)}</{part}>")
        if section.facts:
            rows = (_row((label, value), "th", "td") for label, value in section.facts)
            parts.append(f"<table><tbody>{''.join(rows)}</tbody></table>")
        if section.table:
            columns, *rows = section.table
            body = "".join(_row(row, "th", "td") for row in rows)
            parts.append(f"<table><thead>{_row(columns, 'th', 'th')}</thead>")
            parts.append(f"<tbody>{body}</tbody></table>")
        if section.texts:
            items = "".join(f"<li>{_html(text)}</li>" for text in section.texts)
            parts.append(f"<ul>{items}</ul>")
        if section.code:
            code = "\n".join(_html(c) for c in section.code.splitlines())
            parts.append(f"<pre><code>{code}</code></pre>")
    return "\n".join([*parts, "</div>"])


def html_document(page: Page) -> str:
    """A whole page that stands alone: no script, nothing that is fetched."""
    return DOCUMENT.format(title=_html(page.title), body=as_html(page, level=1))


DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; }}
tbody th {{ font-weight: normal; opacity: 0.75; }}
pre {{ padding: 0.8rem; overflow-x: auto; border: 1px solid; border-radius: 4px; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""  # noqa: E501


def _columns(table: tuple[tuple[str, ...], ...]) -> list[str]:
    rows = [[_line(cell) for cell in row] for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [f"{row[0]:{widths[0]}s}"]
        cells += [f"{cell:>{w}s}" for cell, w in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"  {'  '.join(cells)}")
    return lines


def _wrapped(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        _line(text), WIDTH, initial_indent=first, subsequent_indent=" " * len(first)
    )


def _row(cells: tuple[str, ...], first: str, other: str) -> str:
    tags = [first] + [other] * (len(cells) - 1)
    style = " style='text-align: left'"
    return (
        "<tr>"
        + "".join(f"<{t}{style}>{_html(c)}</{t}>" for t, c in zip(tags, cells, strict=True))
        + "</tr>"
    )


def _line(text: str) -> str:
    """On one line, without characters that do something."""
    kept = "".join(c if c.isprintable() or c.isspace() else "�" for c in str(text))
    return re.sub(r"[^\S \xa0]+", " ", kept)


def _html(text: str) -> str:
    return html.escape(_line(text))


def _markdown(text: str) -> str:
    return MARKUP.sub(r"\\\1", html.escape(_line(text), quote=False))
