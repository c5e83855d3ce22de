"""Loss against bound, as Markdown and as one self-contained page."""

from html import escape
import inspect

from data.corpora import synthetic
from tools.bounds import figure
from tools.bounds.measure import MeasuredLanguage, MeasuredRun
from tools.report import markup
from tools.report.markdown import markdown_table

_TITLE = 'Loss against bound'
_HEAD = ['mask + objective', 'seed', 'steps', 'loss', 'bound', 'above the bound', 'run']
_ABOUT = (
  'The lowest achievable loss, by exact inference, and the loss of trained models. For a causal '
  'model the bound is the entropy of a document, word by word. For a bidirectional model it is the '
  'entropy of each word given all others. The bidirectional bound is not higher at any position, '
  'and the gap is what the words to the right tell.'
)


def markdown(languages: dict[str, MeasuredLanguage], documents: int) -> str:
  """The same facts as the page, without its figures."""
  lines = [f'# {_TITLE}', '', _ABOUT, '', _how(documents)]
  for name, measured in languages.items():
    lines += ['', f'## {name}', '', f'{_about(name)} {_gap(measured)}', '']
    lines += markdown_table(_HEAD, [_row(run) for run in measured.runs])
  return '\n'.join(lines) + '\n'


def page(languages: dict[str, MeasuredLanguage], documents: int) -> str:
  """One HTML page that needs no network.

  Args:
    languages: by their names.
    documents: how many held-out ones each run was measured on.
  """
  parts = [f'<h1>{_TITLE}</h1><p class="about">{_ABOUT}</p><p>{_how(documents)}</p>']
  for name, measured in languages.items():
    rows = [[markup.cell(text) for text in _row(run)] for run in measured.runs]
    parts.append(
      f'<h2>{escape(name)}</h2><p>{escape(_about(name))}</p>'
      f'<p class="about">{_gap(measured)}</p><figure>{figure.draw(measured)}</figure>'
    )
    parts.append(markup.table(_HEAD, rows))
  return markup.page(_TITLE, '\n'.join(parts))


def _about(name: str) -> str:
  """What a language is: its docstring up to its arguments, on one line."""
  about, _, _ = inspect.getdoc(synthetic.LANGUAGES[name]).partition('\n\nArgs')
  return ' '.join(about.replace('`', '').split())


def _gap(measured: MeasuredLanguage) -> str:
  causal, bidirectional = measured.causal_T.mean(), measured.bidirectional_T.mean()
  gap_T = measured.causal_T - measured.bidirectional_T
  return (
    f'Causal bound {causal:.4f} nats a word, bidirectional {bidirectional:.4f}: the gap is '
    f'{causal - bidirectional:.4f} a word, {gap_T.max():.4f} where it is widest.'
  )


def _how(documents: int) -> str:
  return (
    f'Nats a predicted word, on {documents:,} held-out documents that no corpus has. Model and '
    'bound predict the same words behind the same [MASK]s, as many as in training; special tokens '
    'do not count. ± is one standard error over documents.'
  )


def _row(run: MeasuredRun) -> list[str]:
  summary = run.summary
  return [
    run.cell,
    str(run.seed),
    f'{run.steps:,}',
    f'{summary["loss"]:.4f}',
    f'{summary["bound"]:.4f}',
    f'{summary["excess"]:+.2%} ± {summary["error"]:.2%}',
    run.folder.name,
  ]
