"""Imports and exports models: python -m tools.convert --from=HUGGING_FACE_DIR_OR_FILE --to=WORKDIR

--export=hf --workdir=DIR --to=OUT writes a directory that transformers loads with its stock
classes;
--export=sentence-transformers writes a sentence encoder: the trunk, its pooling, its projection.
--revision=step-N exports a checkpoint. What no stock class computes is refused with the reason.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli
from runtime.errors import WeightsError

cli.group('Import')
cli.flags.DEFINE_string(
  'from', None, 'A Hugging Face directory: config.json and safetensors; or a file in it.'
)
cli.flags.DEFINE_string('to', None, 'A new folder to write.')
cli.group('Export')
cli.flags.DEFINE_enum(
  'export', None, ['hf', 'sentence-transformers'], 'Write another layout than our own.'
)
cli.define_weights('What to export: the workdir of a run, or of an import.')
cli.flags.DEFINE_string(
  'revision', None, 'Which checkpoint of a run, as step-1000; the newest by default.'
)
cli.define_json()


def main():
  flags = cli.FLAGS
  source = flags['from'].value
  if not flags.to or bool(source) == bool(flags.export):
    raise ConfigError('either --from=DIR --to=WORKDIR, or --export=hf --workdir=DIR --to=OUT.')

  import jax

  from interop import files, sentence_folders
  from interop.export import export
  from runtime import storage
  from runtime.console import Console
  from training import load as loading

  to = storage.resolve_path(flags.to, '--to')
  if storage.remote(to):
    raise ConfigError(f'--to={to}: a model is written to a folder here, to be copied from there.')
  if source:
    theirs = _directory(storage.resolve_path(source, '--from'))
    if not theirs.is_dir():
      raise WeightsError(f'--from={source}: no such folder.{storage.hub_advice(source)}')
    weights = loading.load_huggingface(theirs)
    loading.save(weights, to)
    heads, count = weights.heads, sum(x.size for x in jax.tree.leaves(weights.params))
    trunk = sentence_folders.trunk(theirs)
    named = files.read_json(trunk / 'config.json').get(files.NAMED)
    read = [path.name for path in files.weight_files(trunk, named)]
  else:
    read = None
    step = None
    if flags.revision:
      prefix, _, number = flags.revision.partition('step-')
      if prefix or not number.isdigit():
        raise ConfigError(f'--revision={flags.revision}: step-N, as in step-1000.')
      step = int(number)
    directory = loading.flag()
    weights = loading.load(directory, step=step)
    sentences = flags.export == 'sentence-transformers'
    heads, count = export(weights, directory, to, sentences=sentences)
  result = dict(
    to=str(to),
    source=weights.source,
    mask=weights.mask,
    heads=list(heads),
    parameters=count,
    **({} if read is None else dict(read=read)),
    files=sorted(str(path.relative_to(to)) for path in to.rglob('*') if path.is_file()),
  )
  if flags.json:
    print(json.dumps(result))
  else:
    result |= dict(
      heads=', '.join(heads) or 'none',
      parameters=f'{count:,}',
      **({} if read is None else dict(read=', '.join(read))),
      files=', '.join(result['files']),
    )
    Console().table('converted', result)


def _directory(source: Path) -> Path:
  """The directory of a model, of which `source` may be one file."""
  if not source.is_file():
    return source
  if source.name in ('model.safetensors', 'model.safetensors.index.json', 'config.json'):
    return source.parent
  raise ConfigError(
    f'{source} is not read: weights come from model.safetensors with its config.json beside it. '
    'For a pickle (.bin, .pt), which may run code, load it with transformers where you trust it, '
    'and write it with save_pretrained.'
  )


if __name__ == '__main__':
  cli.run(main)
