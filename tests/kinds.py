"""Every kind of model that a program may be given, small and with random parameters.

A run is what train.py leaves: config.json, tokenizer.json, data.json and a checkpoint, made by the
code that makes them there. An import is a directory of Hugging Face, written by interop.export.
"""

import importlib
import json
from pathlib import Path

import jax
import runs
import small

from configs.schema import check
from data.tokens import tokenizer as tokenizers
from inference.model import Model
from interop.export import export
from parallel import sharding
from runtime import workdir
from training import saver
from training.experiment import build_experiment, make_run_state

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
  path.stem for path in (ROOT / 'configs').glob('*.py') if path.stem not in ('__init__', 'base')
)
SIZE = {
  'steps': 4,
  'batch_size': 8,
  'data.sequence_length': 32,
  'data.short_length': 0,
  'data.short_share': 0.0,
  'data.split': 'hash',
  'data.validation_share': 0.1,
  'data.max_unknown_share': 1.0,
  **runs.SHAPE,
  'validation.batch_size': 8,
  'optimizer.warmup_steps': 1,
  'log.tensorboard': False,
}
# Cells of the grid that no shipped config trains: (config, what differs).
CELLS = {
  'prefix clm': ('gpt_tiny', {'mask': 'prefix'}),
  'prefix mlm': ('bert_tiny', {'mask': 'prefix', 'objectives': {'mlm': 1.0}}),
  'causal mlm': ('bert_tiny', {'mask': 'causal', 'objectives': {'mlm': 1.0}}),
  'packed mlm': ('bert_tiny', {'objectives': {'mlm': 1.0}}),
  'swapped pairs': ('bert_tiny', {'objectives': {'mlm': 1.0, 'sop': 1.0}}),
  'mntp': ('bert_tiny', {'objectives': {'mntp': 1.0}}),
  'clm and mntp': (
    'bert_tiny',
    {
      'objectives': {'mntp': 1.0},
      'model.shared_head': True,
      'schedule': '1 causal+clm & 1 bidirectional+mntp',
    },
  ),
  'negative control': ('gpt_tiny', {'mask': 'bidirectional', 'negative_control': True}),
}
LAYERS = {
  'scanned': {'model.scan': True},
  'unrolled': {'model.scan': False},
  'unrolled, last layer whole': {'model.scan': False, 'model.last_layer': 'whole'},
}
WORDS = (
  '[UNK] [PAD] [CLS] [SEP] [MASK] the bank of a river he paid cash into ##s . , old fish boat'
).split()
# (config, mask, heads, what differs) of an import, by its family and, after a space, its head.
IMPORTS = {
  'bert': ('bert_base', 'bidirectional', ('mlm', 'nsp'), {}),
  'bert pool': ('bert_base', 'bidirectional', ('pool',), {}),
  'bert sequence': ('bert_base', 'bidirectional', ('sequence',), dict(classes=3)),
  'bert tokens': ('bert_base', 'bidirectional', ('tokens',), dict(classes=3)),
  'roberta': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(position_offset=2, segment_types=1),
  ),
  'distilbert': ('bert_base', 'bidirectional', ('mlm',), dict(segment_types=0)),
  'albert': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(shared_layers=True, embedding_width=16),
  ),
  'jina_embeddings_v3': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(positions='rotary', rotary_base=20_000.0),
  ),
  'gpt2': ('gpt2_small', 'causal', ('clm',), {}),
  'llama': ('gpt2_small', 'causal', ('clm',), small.LLAMA),
  'modernbert': ('bert_base', 'bidirectional', ('mlm',), small.MODERN),
  'modernbert-decoder': (
    'bert_base',
    'causal',
    ('clm',),
    small.MODERN | dict(shared_head=True, global_every=0),
  ),
  'electra': ('bert_base', 'bidirectional', ('mlm',), dict(embedding_width=16)),
  'openai-gpt': ('gpt2_small', 'causal', ('clm',), small.GPT1),
  'eurobert': ('bert_base', 'bidirectional', ('mlm',), small.EUROBERT),
}


def toy(name: str, text: Path, **changes):
  """A config of configs/ at the smallest size at which every program has something to do."""
  config = importlib.import_module(f'configs.{name}').get_config(f'corpus=text:{text}')
  fields = SIZE | {'data.cache': str(text.parent / 'cache')} | changes
  with config.unlocked():
    if 'objectives' in fields:
      config.objectives = fields.pop('objectives')
    config.update_from_flattened_dict(fields)
  check.check(config)
  return config


def alike() -> list[list[str]]:
  """Shipped configs that are one kind at this size: they differ in size or recipe alone."""
  found = {}
  for name in CONFIGS:
    config = toy(name, Path('corpus.txt'))
    model = {
      field: value
      for field, value in config.model.items()
      if field not in ('scan', 'last_layer', 'dropout', 'attention_dropout')
      and not field.startswith('init_')
    }
    kind = model, config.mask, config.objectives.to_dict(), config.data.tokenizer
    found.setdefault(json.dumps(kind, sort_keys=True), []).append(name)
  return list(found.values())


def make_run(config, directory: Path):
  """The workdir of a run of this config, before its first step."""
  directory.mkdir(parents=True)
  experiment = build_experiment(config)
  prepared = experiment.prepared
  (directory / 'config.json').write_text(json.dumps(check.resolve(config)))
  prepared.tokenizer.save(directory / 'tokenizer.json')
  workdir.check_fingerprint(
    directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
  )
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    _, make, *_ = make_run_state(config, experiment.network, mesh)
    saver.save(directory / 'checkpoints', 0, make(), dict(trail={}, tokens=0), keep=1)


def make_toy_run(name: str, changes: dict, folder: Path, directory: Path):
  """The workdir of a run of `toy`, on the text in a folder."""
  make_run(toy(name, folder / 'corpus.txt', **changes), directory)


def make_import(name: str, folder: Path, directory: Path):
  """A directory of Hugging Face of this family."""
  config, mask, heads, changes = IMPORTS[name]
  network, params = small.network(config, mask=mask, packed=False, heads=heads, **changes)
  tokenizer = tokenizers.from_vocabulary(WORDS, lowercase=True)
  model = Model(
    small.model(config, **changes), mask, heads, network, params, tokenizer, True, 'random'
  )
  export(model, folder, directory)
  family = json.loads((directory / 'config.json').read_text())['model_type']
  assert family == name.split()[0], family


def corpus(folder: Path) -> Path:
  """Sixty documents for all runs."""
  return runs.corpus(folder, documents=60)
