"""HTML that the pages of tools share: one self-contained page shell, and tables."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

# The shell with its style sheet: light and dark scheme, nothing from the network. The colours --c0
# to --c6 are those of tools/report/svg.py.
_SHELL = Path(__file__).parent / 'page.html'


def page(title: str, body: str) -> str:
  """A whole page. `title` is text, `body` is HTML."""
  return Template(_SHELL.read_text(encoding='utf-8')).substitute(title=escape(title), body=body)


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
  """A table. The head is text; each cell of the body is HTML with its <td> or <th>."""
  names = ''.join(f'<th>{escape(name)}</th>' for name in head)
  rows = ''.join(f'<tr>{"".join(row)}</tr>' for row in body)
  return f'<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>'


def cell(text: str, css: str = '') -> str:
  """A cell of a table's body."""
  return f'<td{css}>{escape(text)}</td>'
