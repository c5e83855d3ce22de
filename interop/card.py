"""The model card of an export: what was trained here, what came from elsewhere, and no more."""

from pathlib import Path
from typing import Any

from inference.model import Model

# Ends of names of classes -> the task of the hub.
_TASKS = dict(
  ForMaskedLM='fill-mask',
  ForPreTraining='fill-mask',
  LMHeadModel='text-generation',
  ForCausalLM='text-generation',
  ForSequenceClassification='text-classification',
  ForTokenClassification='token-classification',
  ForQuestionAnswering='question-answering',
  ForMultipleChoice='multiple-choice',
  Model='feature-extraction',
)
# Corpus -> language and licence of its text, where they are known.
TEXTS = {
  'wiki_leads': ('en', 'CC BY-SA 4.0'),
  'gutenberg': ('en', 'public domain'),
  'tiny_shakespeare': ('en', 'public domain'),
  'wikipedia': ('en', 'CC BY-SA 4.0'),
  'pg19': ('en', 'public domain'),
  'wikipedia+books': ('en', 'CC BY-SA 4.0, public domain'),
  'openwebtext': ('en', None),
  'c4': ('en', None),
  'lm1b': ('en', None),
}


def write(
  model: Model,
  architecture: str,
  manifest: dict[str, Any],
  *,
  heads: tuple[str, ...],
  lost: list[str],
  sentences: bool,
) -> str:
  """Returns the text of README.md.

  Args:
    architecture: the class of transformers.
    manifest: as `export` writes it: with `config` where the run is one of ours.
    heads: that were written.
    lost: heads that the class has no place for.
  """
  config = manifest.get('config')
  read = config['data'] if config else {}
  tuned = read.get('task') or read.get('groups')  # then no corpus was read
  corpus = None if tuned else read.get('corpus')
  language, licence = TEXTS.get(corpus, (None, None))
  head = dict(
    library_name='sentence-transformers' if sentences else 'transformers',
    pipeline_tag=task(architecture, sentences),
    language=language,
  )
  facts = dict(
    source=manifest['source'],
    architecture=architecture,
    mask=model.mask,
    heads=', '.join(heads) or 'none',
    heads_left_out=', '.join(lost) or None,
    starts_from=manifest.get('init_from'),
    corpus=corpus,
    trained_on=tuned and _without_folders(tuned),
    labels=', '.join(model.labels.classes) or None if model.labels else None,
    licence_of_its_text=licence,
    config_sha256=manifest.get('config_sha256'),
    **{f'{name}_fingerprint': value for name, value in manifest.get('data', {}).items()},
  )
  lines = [
    '---',
    *(f'{key}: {value}' for key, value in head.items() if value is not None),
    '---',
    '',
    f'# {config["name"] if config else manifest["name"]}',
    '',
    _origin(manifest),
    'No licence of these weights is stated here: add one before you publish them.',
    '',
    *_table(facts),
  ]
  if results := numbers(manifest.get('result', {}), model.step):
    lines += ['', '## Results', '', *_table(results)]
  return '\n'.join(lines) + '\n'


def _without_folders(where: str) -> str:
  """The value of data.task or data.groups with the names of its files, not their places."""
  kind, colon, files = where.rpartition(':')
  named = [part.rpartition('=') for part in files.split(',')]
  return (
    kind + colon + ','.join(f'{split}{equals}{Path(path).name}' for split, equals, path in named)
  )


def task(architecture: str, sentences: bool) -> str | None:
  """Returns the `pipeline_tag` of a class of transformers; None where the hub has none."""
  if sentences:
    return 'sentence-similarity'
  if architecture == 'ElectraForPreTraining':  # which tokens were replaced: no task of the hub
    return None
  ends = [end for end in _TASKS if architecture.endswith(end)]
  return _TASKS[ends[0]] if ends else None


def numbers(result: dict[str, Any], step: int | None) -> dict[str, int | float]:
  """Returns the numbers of a result.json by name; none where they are those of another step.

  Args:
    step: that the weights are of.
  """
  best = result.get('best')
  if step not in (result.get('step'), best.get('step') if isinstance(best, dict) else None):
    return {}
  found: dict[str, int | float] = {}
  for name, value in result.items():
    inner = value.items() if name in ('validation', 'test') and isinstance(value, dict) else ()
    for key, number in ((name, value), *((f'{name}/{key}', number) for key, number in inner)):
      if isinstance(number, int | float) and not isinstance(number, bool):
        found[key] = number
  return found


def _origin(manifest: dict[str, Any]) -> str:
  """Returns who trained the weights."""
  if 'config' not in manifest:
    return 'Converted with onemask, not trained with it: its training is not described here.'
  source = manifest.get('init_from')
  start = f'the parameters of {source}' if source else 'random parameters'
  return f'Trained with onemask, from {start}. The numbers below come from the run.'


def _table(rows: dict[str, Any]) -> list[str]:
  shown = {name: value for name, value in rows.items() if value is not None}
  cells = [
    f'| {name} | {str(value).replace("|", chr(92) + "|")} |' for name, value in shown.items()
  ]
  return ['| | |', '|---|---|', *cells]
