"""What tests/fuzz.py damages: valid files of every kind, and what reads them."""

from collections import Counter
from collections.abc import Callable
import contextlib
import gzip
import io
import json
import lzma
from pathlib import Path
import random
import shutil
import socket
from typing import NamedTuple
import zipfile

from absl import flags
from etils import epath
import jax.numpy as jnp
from ml_collections import config_flags
import numpy as np
import test_convert
import zstandard

from configs import base
from configs.schema import check
from data import cache
from data.corpora import sources
from data.rows import records
from data.tasks import blimp, labelled
from data.tokens import pretrained, reading
from interop import export, families, files, generation, huggingface, ties
from models.config import ModelConfig
from runtime import cli, lock, software, storage, workdir
from runtime import records as run_records
from tools.claims import schema as claims
from tools.report import results
from training import certificate, checkpoint, load, metrics, plan, published, saver
from training.state import State

ROOT = Path(__file__).resolve().parents[1]


class Reader(NamedTuple):
  """A reader of files that a person, another program or a damaged disk may have made.

  Attributes:
    seed: writes valid files into a folder.
    read: reads the folder as a program does.
    share: inputs, relative to other readers; a slow one has fewer.
  """

  seed: Callable[[Path], None]
  read: Callable[[Path], object]
  share: float = 1.0


def _config_line(folder: Path):
  """As `--config.FIELD=VALUE`, whose every error is one of usage."""
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', None, '', flag_values=values, lock_config=True)
  line = (folder / 'line').read_bytes().decode('utf-8', 'replace').split('\n')
  try:
    values(['program', f'--config={ROOT}/configs/bert_tiny.py', *line])
    check.check(values.config)
  except Exception as error:
    text = cli.message(error)
    if 'Traceback' in text or not text.strip():
      raise AssertionError(text) from error


def _seed_config_line(folder: Path):
  fields = check.flatten(check.resolve(base.get_config()))
  lines = [f'--config.{name}={value}' for name, value in fields.items() if name != 'objectives.mlm']
  random.Random(0).shuffle(lines)
  (folder / 'line').write_text('\n'.join(lines[:6]))


def _seed_config(folder: Path):
  config = base.get_config()
  config.objectives = dict(mlm=1.0, nsp=0.5)
  storage.write_json(folder / 'config.json', check.resolve(config))


def _seed_workdir(folder: Path):
  _seed_config(folder)
  config = json.loads((folder / 'config.json').read_text())
  (folder / 'metrics.jsonl').write_text(
    ''.join(
      json.dumps(
        {'step': step, 'train/loss': 2.5, 'batch_hash': 'ab', 'tokens': 9, 'val/loss': 2.0}
      )
      + '\n'
      for step in range(5)
    )
  )
  for name, value in dict(
    result=dict(step=config['steps'], tokens=5, validation=dict(loss=1.0), validation_sha256='v'),
    data=dict(data='d', tokenizer='t'),
    initial=dict(sha256='i'),
    software=dict(jax='1', devices=1, mesh=dict(data=1)),
    lock=dict(host='elsewhere', pid=1, start='noon'),
    evaluations=dict(blimp=dict(value=0.5)),
    plan=dict(accumulate=2),
  ).items():
    storage.write_json(folder / f'{name}.json', value)


def _workdir(folder: Path):
  workdir.finished(folder, dict(steps=3))
  workdir.open_config(folder, check.resolve(workdir.read_config(folder)), restart=False)
  workdir.check_fingerprint(folder, dict(data='d', tokenizer='t'))
  software.note_software(folder, dict(jax='1', devices=1), dict(data=1), lambda line: None)
  run_records.note_evaluations(folder, dict(other=dict(value=1.0)))
  metrics.MetricsLog(folder, resume_step=3, tensorboard=False).close()
  metrics.read(folder)
  certificate.read_initial(epath.Path(folder))
  plan.read_accumulate(epath.Path(folder) / 'plan.json')


def _seed_lock(folder: Path):
  (folder / 'lock.json').write_text(
    json.dumps(dict(host=socket.gethostname(), pid=0, start='noon'))
  )  # nobody's


def _lock(folder: Path):
  lock._take_over(epath.Path(folder) / 'lock.json', lambda line: None)


def _seed_checkpoint(folder: Path):
  state = State(jnp.int32(1), dict(x=dict(kernel=jnp.arange(8.0))), {}, None)
  saver.save(folder / 'checkpoints', 1, state, dict(step=1, trail={}), keep=2)


def _checkpoint(folder: Path):
  abstract = State(jnp.int32(0), dict(x=dict(kernel=jnp.zeros(8))), {}, None)
  checkpoint.restore_newest(folder / 'checkpoints', abstract, lambda line: None)


def _checkpoint_signed(folder: Path):
  """Whatever was damaged was damaged before its hash was taken."""
  step = folder / 'checkpoints/step_00000001'
  storage.write_json(step / 'manifest.json', checkpoint._manifest(epath.Path(step)))
  _checkpoint(folder)


def _seed_model(case: str):
  def seed(folder: Path):
    model = test_convert.random_weights(case)
    with contextlib.redirect_stdout(io.StringIO()):
      export.export(model, folder.parent / 'none', folder)
    for path in folder.glob('*.md'):
      path.unlink()

  return seed


def _model_front(folder: Path):
  """All that `load_huggingface` reads, without the network."""
  theirs = files.read_json(folder / 'config.json')
  family, fields = families.read(theirs, str(folder / 'config.json'))
  opened = files.open_tensors(folder, theirs.get('transformers_weights'))
  plain = huggingface.plain_names(family, opened, str(folder))
  tensors, tie, _ = ties.resolve(family, plain, fields['tie_embeddings'])
  heads = huggingface.heads_in(family, tensors, 'x')
  fields |= huggingface.classes_in(family, tensors, heads) | dict(tie_embeddings=tie)
  ModelConfig(**base.get_config().model.to_dict() | fields)
  generation.read(folder, theirs)
  pretrained.read(folder, theirs.get('model_type'), theirs.get('tokenizer_class'))


def _seed_sentences(folder: Path):
  model = test_convert.of_vectors('bert', pooling='last', projection=8, unit_vectors=True)
  with contextlib.redirect_stdout(io.StringIO()):
    export.export(model, folder.parent / 'none', folder, sentences=True)
  for path in folder.glob('*.md'):
    path.unlink()


def _seed_import(folder: Path):
  load.save(test_convert.random_weights('gpt2'), folder / 'model')


def _seed_tokenizer(folder: Path):
  test_convert.random_weights('bert').tokenizer.save(folder / 'tokenizer.json')
  words = test_convert.WORDS
  (folder / 'vocab.txt').write_text('\n'.join(words))
  switches = dict(
    do_lower_case=True, tokenizer_class='BertTokenizer', model_max_length=512, cls_token='[CLS]'
  )
  storage.write_json(folder / 'tokenizer_config.json', switches)
  special = dict(unk_token='[UNK]', mask_token=dict(content='[MASK]', lstrip=True))
  storage.write_json(folder / 'special_tokens_map.json', special)
  storage.write_json(folder / 'added_tokens.json', {'[NEW]': len(words)})


def _tokenizer(folder: Path):
  for name in ('tokenizer.json', 'vocab.txt'):
    reading.load(folder / name, lowercase=True).encode(['the bank, paid.', ''])
    pretrained.load(folder / name, lowercase=True).encode(['the bank, paid.', ''])


_TEXT = 'The bank of the river.\nHe paid cash.\n\nÉtat, \u2028 naïve 東京.\n\n' * 3


def _seed_corpus(folder: Path):
  text = _TEXT.encode()
  (folder / 'plain.txt').write_bytes(text)
  rows = [json.dumps(dict(text=part, n=1)) for part in _TEXT.split('\n\n')]
  (folder / 'rows.jsonl').write_text('\n'.join(rows))
  (folder / 'table.csv').write_text('text,n\n"The bank, of",1\n"a\nb",2\n')
  (folder / 'small.txt.gz').write_bytes(gzip.compress(text))
  (folder / 'small.txt.xz').write_bytes(lzma.compress(text))
  (folder / 'small.txt.zst').write_bytes(zstandard.compress(text))


def _corpus(folder: Path):
  """Each file by itself, and the folder."""
  for path in [*sorted(folder.iterdir()), folder]:
    if path.name in ('cache', 'hashes'):
      continue
    corpus = sources.open_corpus(f'text:{path}', folder.parent / 'cache')
    list(corpus.documents(Counter(), Counter(), lambda *_: None))
    corpus.running_text(Counter(), lambda *_: None)


def _seed_tasks(folder: Path):
  written = {
    'sst2/train.txt': '1 a fine film\n0 a bad film\n' * 6,
    'mrpc/train.tsv': 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n' + '1\t2\t3\ta b\tc d\n' * 12,
    'sick/SICK_train.txt': 'pair_ID\tsentence_A\tsentence_B\t'
    + 'relatedness_score\tentailment_judgment\n'
    + '1\ta b\tc d\t4.5\tNEUTRAL\n' * 12,
    'rte/rte1_dev.xml': '<?xml version="1.0"?><entailment-corpus>'
    + '<pair id="1" value="TRUE" task="IR"><t>a b</t><h>c</h></pair>' * 12
    + '</entailment-corpus>',
  }
  for name, text in written.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
  (folder / 'conll2000').mkdir()
  (folder / 'conll2000/train.txt.gz').write_bytes(gzip.compress(b'a DT B-NP\nb NN I-NP\n\n' * 12))
  pair = dict(sentence_good='a b.', sentence_bad='b a.', field='syntax', linguistics_term='x')
  pair |= dict(UID='x', pairID='1')
  with zipfile.ZipFile(folder / 'blimp.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('x.jsonl', (json.dumps(pair) + '\n') * 5)


def _tasks(folder: Path):
  for path in sorted(folder.rglob('*')):
    task = labelled.TASKS.get(path.parent.name)
    if path.is_file() and task:
      list(task.read(path))
  blimp.load(folder / 'blimp.zip')


def _seed_sweep(folder: Path):
  config = dict(steps=2)
  run = dict(folder='one', changes=dict(mask='a'), config_hash=check.config_hash(config))
  about = dict(
    name='s', about='s', table=dict(rows='mask', value='loss'), evaluations=[], runs=[run]
  )
  storage.write_json(folder / 'sweep.json', about)
  (folder / 'one').mkdir()
  row = {'step': 0, 'batch_hash': 'x', 'tokens': 0, 'val/loss': 2.0}
  (folder / 'one/metrics.jsonl').write_text(json.dumps(row) + '\n')
  for name, value in dict(
    config=config,
    data=dict(data='d', tokenizer='t'),
    initial=dict(sha256='i'),
    result=dict(step=2, tokens=5, validation_sha256='v', validation=dict(loss=1.0)),
    evaluations=dict(blimp=dict(value=0.5)),
  ).items():
    storage.write_json(folder / 'one' / f'{name}.json', value)


def _seed_claims(folder: Path):
  shutil.copy(ROOT / 'claims/onemask.yaml', folder / 'claims.yaml')


def _seed_cache(folder: Path):
  def make(made: Path) -> dict:
    (made / 'rows').write_bytes(b'12345')
    return dict(version=1, rows=5)

  cache.build(folder / 'rows', make)


def _seed_rows(folder: Path):
  with records.Writer(folder / 'rows', records.token_dtype(30)) as writer:
    for number in range(20):
      writer.write([np.arange(number + 1), np.arange(3)])


def _rows(folder: Path):
  reader = records.Reader(folder / 'rows', records.token_dtype(30))
  list(reader)


READERS = {
  'config lines': Reader(_seed_config_line, _config_line, 0.3),
  'resolved configs': Reader(_seed_config, workdir.read_config),
  'workdirs': Reader(_seed_workdir, _workdir, 0.5),
  'locks': Reader(_seed_lock, _lock),
  'checkpoints': Reader(_seed_checkpoint, _checkpoint, 0.2),
  'checkpoints, damaged before hashing': Reader(_seed_checkpoint, _checkpoint_signed, 0.05),
  'folders of models, BERT': Reader(_seed_model('bert'), _model_front),
  'folders of models, GPT-2': Reader(_seed_model('gpt2'), _model_front),
  'folders of models, Llama': Reader(_seed_model('llama'), _model_front),
  'folders of models, with the network': Reader(_seed_model('gpt2'), load.load, 0.01),
  'sentence encoders': Reader(_seed_sentences, published.describe_huggingface),
  'imported models': Reader(_seed_import, lambda folder: load.load(folder / 'model'), 0.01),
  'tokenizers': Reader(_seed_tokenizer, _tokenizer),
  'corpora': Reader(_seed_corpus, _corpus),
  'tasks': Reader(_seed_tasks, _tasks),
  'sweeps': Reader(_seed_sweep, results.load),
  'claims': Reader(_seed_claims, lambda folder: claims.load(folder / 'claims.yaml'), 0.3),
  'rows': Reader(_seed_rows, _rows),
  'manifests of the cache': Reader(_seed_cache, lambda folder: cache.manifest(folder / 'rows')),
}
