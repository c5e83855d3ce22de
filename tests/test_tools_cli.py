"""The programs that use a model, as processes: one JSON object
on request, one clear line for a mistake.
"""

import json
import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np
import pytest
from test_convert import random_weights

from data.groups import files
from interop.export import export
from training import load as loading

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """A BERT as Hugging Face has it, a GPT as a workdir of ours."""
  folder = tmp_path_factory.mktemp('models')
  export(random_weights('bert'), folder, folder / 'bert')
  loading.save(random_weights('gpt2'), folder / 'gpt')
  (folder / 'lines.txt').write_text('the old boat\nhe paid cash\nfish into the river\n')
  return folder


def call(tool: str, *args, given: str = '') -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-m', f'tools.{tool}', *map(str, args)],
    cwd=ROOT,
    input=given,
    text=True,
    capture_output=True,
    timeout=600,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )


def answer(tool: str, *args, given: str = '') -> list[dict]:
  result = call(tool, *args, '--json', given=given)
  assert result.returncode == 0, result.stderr
  return [json.loads(line) for line in result.stdout.splitlines()]


def test_generate_reads_prompts_from_standard_input(models):
  found = answer(
    'generate',
    f'--weights={models / "gpt"}',
    '--max_tokens=5',
    '--samples=2',
    '--seed=1',
    given='the bank\nold fish\n',
  )
  assert [one['prompt'] for one in found] == ['the bank', 'old fish']
  for one in found:
    assert (
      one.keys() == {'prompt', 'completions', 'tokens_per_second'} and len(one['completions']) == 2
    )
    for completion in one['completions']:
      assert completion.keys() == {'text', 'ids', 'logprobs'}
      assert len(completion['ids']) == len(completion['logprobs']) == 5
  [alone] = answer(
    'generate',
    f'--workdir={models / "gpt"}',
    '--max_tokens=5',
    '--samples=2',
    '--seed=1',
    '--prompt=old fish',
  )
  assert [one['ids'] for one in alone['completions']] == [
    one['ids'] for one in found[1]['completions']
  ]


def test_fill_mask(models):
  [found] = answer('fill_mask', f'--weights={models / "bert"}', 'the [MASK] of a [MASK]', '--top=3')
  assert found['text'] == 'the [MASK] of a [MASK]' and [
    mask['position'] for mask in found['masks']
  ] == [2, 5]
  for mask in found['masks']:
    assert [one.keys() for one in mask['candidates']] == [{'id', 'token', 'probability'}] * 3


def test_embed_writes_a_row_a_line_and_finds_the_line_itself(models):
  [found] = answer(
    'embed',
    f'--weights={models / "bert"}',
    f'--input={models / "lines.txt"}',
    f'--output={models / "out.npy"}',
    '--search=he paid cash',
  )
  matrix_NxD = np.load(models / 'out.npy', allow_pickle=False)
  assert matrix_NxD.shape == (3, 32) and matrix_NxD.dtype == np.float32
  np.testing.assert_allclose(np.linalg.norm(matrix_NxD, axis=1), 1, atol=1e-6)
  assert found['results'][0]['line'] == 2 and found['results'][0]['cosine'] == pytest.approx(
    1, abs=1e-5
  )


def test_a_saved_matrix_is_searched_with_several_queries(models):
  both = f'--weights={models / "bert"}', f'--input={models / "lines.txt"}'
  queries = '--search=fish into the river', '--search=he paid cash'
  [live] = answer('embed', *both, *queries)
  for precision in ('float32', 'float16', 'uint8', 'binary'):
    (file := models / f'{precision}.npy').unlink(missing_ok=True)
    answer('embed', *both, f'--output={file}', f'--precision={precision}')
    [found] = answer('embed', *both, f'--matrix={file}', *queries)
    assert [one['query'] for one in found['searches']] == ['fish into the river', 'he paid cash']
    assert [one['results'][0]['line'] for one in found['searches']] == [3, 2]
    if precision == 'float32':
      assert found == live
  (models / 'two.txt').write_text('the old boat\nhe paid cash\n')
  (models / 'other.txt').write_text('the old boat\nhe paid\nfish into the river\n')
  for args, words in (
    ([f'--input={models / "two.txt"}'], 'has 3 rows of 32; there are 2 lines'),
    ([f'--input={models / "other.txt"}'], 'holds the vectors of another text than'),
    ([f'--input={models / "lines.txt"}', '--pooling=max'], 'another pooling'),
    ([f'--input={models / "lines.txt"}', '--truncate_dim=8'], 'vectors of 8'),
  ):
    matrix = f'--matrix={models / "float32.npy"}'
    result = call('embed', f'--weights={models / "bert"}', matrix, '--search=cash', *args)
    assert result.returncode == 3 and words in result.stderr, result.stderr


def test_a_prompt_stands_before_each_line_or_query(models):
  (file := models / 'bare.txt').write_text('boat\ncash\n')
  both = f'--weights={models / "bert"}', f'--input={file}'
  [found] = answer('embed', *both, '--prompt=the old ', '--search=boat')
  assert found['results'][0] == dict(line=1, cosine=pytest.approx(1, abs=1e-5), text='boat')
  [found] = answer('embed', *both, '--prompt=the old ', '--query_prompt=', '--search=the old boat')
  assert found['results'][0]['cosine'] == pytest.approx(1, abs=1e-5)
  [found] = answer('embed', *both, '--prompt=the old ', '--query_prompt=he ', '--search=boat')
  assert found['results'][0]['cosine'] < 0.999


def test_mined_groups_are_a_file_to_train_on(models):
  pairs = [
    dict(anchor='old boat', positive='the old boat'),
    dict(anchor='cash', positive='he paid'),
  ]
  (models / 'pairs.jsonl').write_text('\n'.join(map(json.dumps, pairs)))
  args = f'--weights={models / "bert"}', f'--groups={models / "pairs.jsonl"}'
  args += f'--corpus={models / "lines.txt"}', f'--output={models / "groups.jsonl"}'
  [found] = answer('mine', *args, '--num_negatives=2')
  assert (found['pairs'], found['corpus'], found['groups']) == (2, 4, 2)
  [groups] = files.load(str(models / 'groups.jsonl')).values()
  assert [group.texts[:2] for group in groups] == [tuple(pair.values()) for pair in pairs]
  assert all(len(set(group.texts)) == 4 for group in groups)


def test_a_killed_process_goes_on_to_the_same_bytes(models):
  random = np.random.default_rng(0)
  words = 'the bank of a river he paid cash into old fish boat'.split()
  lines = [' '.join(random.choice(words, 1 + number % 40)) for number in range(30_000)]
  (models / 'many.txt').write_text('\n'.join(lines))
  args = f'--weights={models / "bert"}', f'--input={models / "many.txt"}'
  [whole] = answer('embed', *args, f'--output={models / "whole.npy"}')
  killed, note = models / 'killed.npy', models / 'killed.npy.part.json'
  process = subprocess.Popen(
    [sys.executable, '-m', 'tools.embed', *args, f'--output={killed}'],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )
  while not note.exists() and process.poll() is None:
    time.sleep(0.01)
  process.kill()
  assert process.wait() < 0 and not killed.exists()
  done = json.loads(note.read_text())['done']
  result = call('embed', *args, f'--output={killed}')
  assert result.returncode == 0 and f'has {done:,} of 30,000 rows' in result.stdout, result.stderr
  assert killed.read_bytes() == (models / 'whole.npy').read_bytes()


ODD_LINES = 'the bank\u2028of a river\n\n\u3000\nhe paid [/b] [red]cash\x0c\r\n\x85 an old fish\n'


def test_a_blank_line_has_a_row_and_is_never_found(models):
  (file := models / 'odd.txt').write_bytes(b'\xef\xbb\xbf' + ODD_LINES.encode())
  arguments = f'--weights={models / "bert"}', f'--input={file}', '--search=an old fish', '--top=9'
  [found] = answer('embed', *arguments, f'--output={models / "odd.npy"}')
  assert (found['lines'], found['blank']) == (5, 2)
  assert np.load(models / 'odd.npy', allow_pickle=False).shape == (5, 32)
  assert {one['line']: one['text'] for one in found['results']} == {
    1: 'the bank\u2028of a river',
    4: 'he paid [/b] [red]cash\x0c',
    5: '\x85 an old fish',
  }
  printed = call('embed', *arguments).stdout
  assert 'never found: 2 of 5' in printed and 'he paid [/b] [red]cash' in printed


def test_prompts_are_lines_and_blank_ones_are_counted(models):
  (file := models / 'prompts.txt').write_bytes(ODD_LINES.encode())
  done = call(
    'generate', f'--weights={models / "gpt"}', f'--prompts={file}', '--max_tokens=1', '--json'
  )
  assert done.returncode == 0 and '2 blank lines' in done.stderr
  prompts = [json.loads(line)['prompt'] for line in done.stdout.splitlines()]
  assert prompts == [
    'the bank\u2028of a river',
    'he paid [/b] [red]cash\x0c',
    '\x85 an old fish',
  ]


def test_attention_and_convert(models):
  [found] = answer(
    'attention', f'--weights={models / "gpt"}', '--text=the bank', f'--out={models / "map.png"}'
  )
  assert found['models'][0]['mask'] == 'causal' and (models / 'map.png').read_bytes().startswith(
    b'\x89PNG'
  )
  [found] = answer(
    'convert', f'--from={models / "bert" / "model.safetensors"}', f'--to={models / "mine"}'
  )
  assert found['heads'] == ['mlm', 'nsp'] and (models / 'mine' / 'tokenizer.json').exists()
  [found] = answer(
    'convert', '--export=hf', f'--workdir={models / "mine"}', f'--to={models / "again"}'
  )
  assert (models / 'again/model.safetensors').read_bytes() == (
    models / 'bert/model.safetensors'
  ).read_bytes()


@pytest.mark.parametrize(
  'tool, args, code, words',
  [
    ('generate', ['--weights={}/bert', '--prompt=a'], 2, 'is bidirectional'),
    (
      'generate',
      ['--weights={}/gpt', '--prompt=a', '--max_tokens=100'],
      2,
      'does not fit into the 64',
    ),
    ('generate', ['--weights={}/gpt', '--prompt=a', '--temperature=-1'], 2, 'temperature'),
    ('generate', ['--prompt=a'], 2, '--weights=DIR is missing'),
    ('generate', ['--weights={}/none', '--prompt=a'], 3, 'no such folder'),
    ('convert', ['--from=hub-user/a-model', '--to={}/x'], 3, 'no such folder. A model of the hub'),
    ('generate', ['--weights=hub-user/a-model', '--prompt=a'], 3, 'docs/weights.md says how'),
    ('generate', ['--weights={}/gpt'], 2, 'there is no prompt'),
    ('fill_mask', ['--weights={}/gpt', 'a [MASK]'], 2, 'causal model without an MLM head'),
    ('fill_mask', ['--weights={}/bert', 'a b'], 2, 'no blank'),
    ('embed', ['--weights={}/bert', '--input={}/none.txt', '--output=x.npy'], 4, 'no such file'),
    (
      'embed',
      ['--weights={}/bert', '--input={}/lines.txt', '--output={}/no/x.npy'],
      2,
      'no such folder',
    ),
    (
      'embed',
      ['--weights={}/bert', '--input={}/lines.txt', '--search=a', '--truncate_dim=33'],
      3,
      'has vectors of 32',
    ),
    ('embed', ['--input={}/lines.txt', '--matrix=x.npy'], 2, 'and either --output'),
    (
      'embed',
      ['--input={}/lines.txt', '--matrix=x.npy', '--search=a', '--output={}/x.npy'],
      2,
      'nothing is written',
    ),
    (
      'embed',
      ['--weights={}/bert', '--input={}/lines.txt', '--matrix={}/none.npy', '--search=a'],
      6,
      'No such file',
    ),
    ('mine', ['--weights={}/bert', '--groups={}/lines.txt', '--output={}/x.jsonl'], 4, 'must end'),
    ('mine', ['--groups={}/lines.txt', '--output={}/x.txt'], 2, 'must end in .jsonl'),
    ('mine', ['--groups=x', '--output={}/x.jsonl', '--range_max=2'], 2, 'leaves 2 candidates'),
    ('rank', ['--weights={}/bert', '--query=a', '--input={}/lines.txt'], 3, 'no head for labels'),
    ('rank', ['--weights={}/bert', '--input={}/lines.txt'], 2, 'are needed'),
    ('attention', ['--weights={}/bert', '--text=a', '--out=x.pdf'], 2, '.html or .png'),
    (
      'attention',
      ['--weights={}/bert', '--text=a', '--out={}/x.png', '--layer=7'],
      2,
      'layers 0 to 1',
    ),
    ('convert', ['--from={}/lines.txt', '--to={}/new'], 2, 'save_pretrained'),
    ('convert', ['--from={}/bert', '--to={}/gpt'], 3, 'not empty'),
    ('convert', ['--to={}/new'], 2, 'either --from'),
  ],
)
def test_a_mistake_is_one_line_and_a_code(models, tool, args, code, words):
  result = call(tool, *(arg.format(models) for arg in args))
  assert result.returncode == code, result.stderr
  assert (
    words in result.stderr and 'Traceback' not in result.stderr and result.stderr.count('\n') == 1
  )
  assert not (models / 'new').exists()
