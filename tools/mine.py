"""Finds hard negatives for pairs with a model: python -m tools.mine --weights=DIR --groups=FILE
--output=FILE.jsonl

Reads pairs of anchor and positive (JSON lines, TSV or CSV, as data.groups), and writes them with
`negative`, `negative_2`, ...: the texts that the model finds nearest to the anchor and that are
none of its positives. Candidates are all positives of the file, and the lines of --corpus. An
anchor with too few negatives is left out, and counted.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli, storage

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Input and output')
cli.flags.DEFINE_string('groups', None, 'A file of pairs, with the columns anchor and positive.')
cli.flags.DEFINE_string('corpus', None, 'More texts that may be negatives, a line each.')
cli.flags.DEFINE_string('output', None, 'The .jsonl file to write.')
cli.group('Negatives')
cli.flags.DEFINE_integer('num_negatives', 3, 'Negatives of an anchor.', lower_bound=1)
cli.flags.DEFINE_integer(
  'range_min', 0, 'So many of the nearest are left out: they may be right.', lower_bound=0
)
cli.flags.DEFINE_integer(
  'range_max',
  None,
  'How many of the nearest are looked at; by default ten times as many as needed.',
)
cli.flags.DEFINE_float(
  'relative_margin', None, "A negative's cosine is lower by this share of the positive's (0.05)."
)
cli.flags.DEFINE_float('absolute_margin', None, "A negative's cosine is lower by so much.")
cli.flags.DEFINE_float('max_score', None, 'The largest cosine of a negative.')
cli.flags.DEFINE_float('min_score', None, 'The least cosine of a negative.')
cli.flags.DEFINE_enum('sampling', 'top', ['top', 'random'], 'The hardest ones, or some of them.')
cli.flags.DEFINE_integer('seed', 0, 'Of --sampling=random.', lower_bound=0)
cli.flags.DEFINE_integer(
  'batch_size', 32, 'Rows of 64 tokens at once; changes speed only.', lower_bound=1
)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not (flags.groups and flags.output):
    raise ConfigError('--groups=FILE and --output=FILE.jsonl are needed.')
  output = storage.output_path(flags.output, '--output', '.jsonl')

  from data.groups import files
  from inference.embed import Embedder
  from inference.mining import Rules, mine
  from runtime.console import Console
  from training import load as loading

  rules = Rules(**{name: flags[name].value for name in Rules._fields})
  if rules.depth(1) - rules.range_min < rules.num_negatives:
    raise ConfigError(
      f'--range_max={flags.range_max} leaves {max(0, rules.depth(1) - rules.range_min)} candidates '
      f'after --range_min={flags.range_min}, and --num_negatives={flags.num_negatives} are needed.'
    )
  pairs = _pairs(files.load(flags.groups), flags.groups)
  texts = [positive for _, positive in pairs]
  corpus = list(dict.fromkeys(_lines(flags.corpus) + texts))
  place = {text: index for index, text in enumerate(corpus)}
  positives: dict[str, list[int]] = {}
  for anchor, positive in pairs:
    positives.setdefault(anchor, []).append(place[positive])
  model = loading.load(loading.flag(), step=flags.step)
  console = Console(quiet=flags.json)
  embed = Embedder(model)

  def vectors(what: str, texts: list[str], prompt: str | None):
    report = lambda done: console.part(what, done, len(texts), done / len(texts))
    return embed(texts, flags.batch_size, report, prompt=prompt)

  anchors = list(positives)
  documents = next((name for name in _DOCUMENT if name in model.prompts), None)
  anchor_AxD = vectors('anchors', anchors, model.prompts.get('query'))
  corpus_NxD = vectors('corpus', corpus, model.prompts.get(documents))
  mined = mine(anchor_AxD, corpus_NxD, list(positives.values()), rules)
  negatives = {anchors[index]: found for index, found in mined.negatives.items()}
  written = [
    dict(anchor=anchor, positive=positive) | _named([corpus[index] for index in negatives[anchor]])
    for anchor, positive in pairs
    if anchor in negatives
  ]
  storage.write(output, ''.join(json.dumps(one, ensure_ascii=False) + '\n' for one in written))
  result = dict(pairs=len(pairs), anchors=len(anchors), corpus=len(corpus), groups=len(written))
  result |= dict(dropped=mined.dropped, output=flags.output)
  if flags.json:
    print(json.dumps(result))
    return
  rows = {name: f'{count:,}' for name, count in result.items() if isinstance(count, int)}
  rows |= {f'left out by {name}': f'{count:,}' for name, count in mined.dropped.items() if count}
  console.table(flags.output, rows)


# names of the prompt for texts that are searched, as sentence-transformers looks for them
_DOCUMENT = ('document', 'passage', 'corpus')


def _pairs(found: dict, where: str) -> list[tuple[str, str]]:
  """Anchor and positive of each group, once; negatives that it has are not read."""
  pairs = [group.texts[:2] for groups in found.values() for group in groups]
  if all(anchor == positive for anchor, positive in pairs):
    raise ConfigError(f'{where} has single texts: pairs of anchor and positive are needed.')
  return list(dict.fromkeys(pairs))


def _lines(name: str | None) -> list[str]:
  """The lines of a text that are not blank."""
  from data.lines import is_blank, read_lines, say_left_out

  if not name:
    return []
  lines = read_lines(Path(name).expanduser())
  texts = [line for line in lines if not is_blank(line)]
  say_left_out('mine', len(lines) - len(texts))
  return texts


def _named(texts: list[str]) -> dict[str, str]:
  """negative, negative_2, ..."""
  return {f'negative_{n}' if n > 1 else 'negative': text for n, text in enumerate(texts, 1)}


if __name__ == '__main__':
  cli.run(main)
