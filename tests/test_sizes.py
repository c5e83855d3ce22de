"""What a file says of a size is held against what it holds, in a second and in little memory.

Each file is read by a process whose memory is limited; the limit is what importing needs, and some.
"""

import json
import os
from pathlib import Path
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file
import small
import tokenizers

from interop import sizes
from runtime.errors import WeightsError

ROOT = Path(__file__).resolve().parents[1]
HUGE = 16_000_000
BERT = dict(
  model_type='bert',
  architectures=['BertModel'],
  vocab_size=30,
  hidden_size=8,
  num_hidden_layers=1,
  num_attention_heads=2,
  intermediate_size=16,
  max_position_embeddings=16,
  type_vocab_size=2,
)
GPT2 = dict(
  model_type='gpt2',
  architectures=['GPT2LMHeadModel'],
  vocab_size=30,
  n_embd=8,
  n_layer=1,
  n_head=2,
  n_positions=16,
)
# The process says what it refused; the limit is of the memory that it takes from here on.
READ = """
import resource, sys, time, warnings
warnings.simplefilter('ignore')
from pathlib import Path
import {module} as reader
import jax
jax.devices()
with open('/proc/self/statm') as file:
  taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (3 << 30),) * 2)
for path in sys.argv[1:]:
  started = time.process_time()
  try:
    reader.{call}
  except Exception as error:
    seconds = time.process_time() - started
    print(getattr(error, 'exit_code', type(error).__name__), f'{{seconds:.1f}}', str(error)[:300])
  else:
    print('read')
"""


def refusals(module: str, call: str, paths: list[Path]) -> list[tuple[str, float, str]]:
  """(exit code, seconds of the CPU, message) of what a limited process said of each path."""
  done = subprocess.run(
    [sys.executable, '-c', READ.format(module=module, call=call), *map(str, paths)],
    env=os.environ | dict(PYTHONPATH=str(ROOT), JAX_PLATFORMS='cpu'),
    capture_output=True,
    text=True,
    timeout=600,
  )
  lines = done.stdout.splitlines()
  assert len(lines) == len(paths), done.stderr[-2000:]
  found = [line.split(' ', 2) for line in lines]
  return [(code, float(seconds), text) for code, seconds, text in found]


def check(found, code: str, words: list[str]):
  for (said, seconds, text), word in zip(found, words, strict=True):
    assert said == code and word in text, (said, text, word)
    assert seconds < 5, (seconds, text)  # of the CPU; it takes a tenth of one


def test_a_config_of_a_network_that_its_files_do_not_hold_is_refused(tmp_path):
  changes = [
    (BERT, 'num_hidden_layers', 'layers'),
    (BERT, 'hidden_size', 'vocab_size'),
    (BERT, 'intermediate_size', 'feed_forward'),
    (BERT, 'vocab_size', 'vocab_size'),
    (BERT, 'max_position_embeddings', 'max_length'),
    (BERT, 'type_vocab_size', 'segment_types'),
    (GPT2, 'n_layer', 'layers'),
    (GPT2, 'n_positions', 'max_length'),
    (GPT2, 'vocab_size', 'vocab_size'),
  ]
  paths = []
  for number, (config, field, _) in enumerate(changes):
    folder = tmp_path / str(number)
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps(config | {field: HUGE}))
    save_file(dict(a=np.zeros(4096, np.float32)), folder / 'model.safetensors')
    paths.append(folder)
  check(refusals('training.load', 'load(Path(path))', paths), '3', [word for *_, word in changes])


def test_layers_that_share_their_weights_are_no_way_round(tmp_path):
  config = BERT | dict(model_type='albert', embedding_size=4, num_hidden_layers=HUGE)
  (tmp_path / 'config.json').write_text(json.dumps(config))
  save_file(dict(a=np.zeros(4096, np.float32)), tmp_path / 'model.safetensors')
  check(refusals('training.load', 'load(Path(path))', [tmp_path]), '3', ['layers'])


def test_a_workdir_whose_config_was_made_huge_is_refused(tmp_path):
  paths = []
  with zipfile.ZipFile(ROOT / 'tests/released/05202d7.zip') as archive:
    for field in ('layers', 'feed_forward', 'vocab_size'):
      for kind in ('run', 'import'):
        archive.extractall(tmp_path / field / kind)
        folder = tmp_path / field / kind / kind
        config = json.loads((folder / 'config.json').read_text())
        config['model'][field] = HUGE
        (folder / 'config.json').write_text(json.dumps(config))
        paths.append(folder)
  words = [word for word in ('layers', 'feed_forward', 'vocab_size') for _ in range(2)]
  check(refusals('training.load', 'load(Path(path))', paths), '3', words)


@pytest.mark.parametrize('heads, said', [(5, '5 heads do not divide'), (64, '64 heads do not')])
def test_heads_that_do_not_divide_the_width_are_refused(heads, said):
  """Found by the fuzz: a division by zero."""
  with pytest.raises(WeightsError, match=said):
    sizes.check(small.model(heads=heads), 10**9, 'config.json')


def test_an_id_far_above_the_number_of_tokens_is_refused(tmp_path):
  vocabulary = {f'[{name}]': id for id, name in enumerate(('PAD', 'UNK', 'CLS', 'SEP', 'MASK'))}
  rule = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token='[UNK]'))
  paths = []
  for kind in ('vocab', 'added'):
    made = json.loads(rule.to_str())
    if kind == 'vocab':
      made['model']['vocab']['word'] = 4_000_000_000
    else:
      token = dict(id=4_000_000_000, content='word', special=False, normalized=False)
      made['added_tokens'].append(token | dict(single_word=False, lstrip=False, rstrip=False))
    paths.append(tmp_path / f'{kind}.json')
    paths[-1].write_text(json.dumps(made))
  found = refusals('data.tokens.reading', 'load(path, lowercase=True)', paths)
  check(found, '4', ['4000000000', '4,000,000,000'])


def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path):
  levels = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  merges = ['a0: &a0 {k: 1}']
  for n in range(1, 10):
    levels.append(f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 9)}]')
    merges.append(f'a{n}: &a{n} {{<<: [{", ".join([f"*a{n - 1}"] * 9)}]}}')
  texts = ['\n'.join(levels), '\n'.join(merges), 'claims: &a [*a]', '[' * 50_000]
  paths = []
  for number, text in enumerate(texts):
    paths.append(tmp_path / f'{number}.yaml')
    paths[-1].write_text(text)
  words = ['aliases'] * 3 + ['no YAML']
  check(refusals('tools.claims.schema', 'load(Path(path))', paths), '2', words)


def test_a_zip_that_unpacks_without_end_is_refused(tmp_path):
  path = tmp_path / 'BLiMP.zip'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    with archive.open('one.jsonl', 'w', force_zip64=True) as file:
      for _ in range(300):
        file.write(bytes(1 << 20))
  check(refusals('data.tasks.blimp', 'load(Path(path))', [path]), '4', ['unpacks to'])


def test_headers_of_safetensors_that_lie_are_refused(tmp_path):
  def header(about: dict, length: int | None = None, data: bytes = b'') -> bytes:
    text = json.dumps(about).encode()
    return (len(text) if length is None else length).to_bytes(8, 'little') + text + data

  tensor = dict(dtype='F32', shape=[2], data_offsets=[0, 8])
  contents = [
    header({}, length=1 << 62),
    header({'a': tensor | dict(shape=[1 << 60], data_offsets=[0, 1 << 62])}, data=bytes(8)),
    header({'a': tensor | dict(shape=[1 << 40])}, data=bytes(8)),
    header({'a': tensor | dict(data_offsets=[0, 4])}, data=bytes(8)),
  ]
  paths = []
  for number, content in enumerate(contents):
    folder = tmp_path / str(number)
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps(BERT))
    (folder / 'model.safetensors').write_bytes(content)
    paths.append(folder)
  found = refusals('training.load', 'load(Path(path))', paths)
  check(found, '3', ['model.safetensors is damaged'] * 4)
