"""Fine-tuning: many seeds in one program are the same seeds
alone; masks and pooling do what they say.
"""

import functools
import json
import math
import os
from pathlib import Path
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from configs.schema.check import ConfigError
from data.tasks.labelled import Example, Task
from data.tokens import tokenizer as tokenizers
from inference.model import Model
from objectives import classify
from runtime import records
from runtime.errors import StateError
from training import finetune
from training import load as loading

ROOT = Path(__file__).resolve().parents[1]
WORDS = (
  '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash into ##s . , old fish boat'
).split()
PLAIN = WORDS[5:14]
SIZES = dict(layers=1, width=16, feed_forward=32)


@functools.cache
def trunk():
  config = small.model('bert_base', init_scale=0.1, **SIZES)
  _, params = small.network('bert_base', packed=False, heads=('mlm',), init_scale=0.1, **SIZES)
  return config, params, tokenizers.from_vocabulary(WORDS, lowercase=True)


def recipe(**changes) -> finetune.Recipe:
  return finetune.Recipe(
    **dict(
      mask='bidirectional',
      pooling='mean',
      seeds=(0, 1, 2),
      steps=5,
      epochs=1.0,
      batch_size=8,
      learning_rate=1e-2,
      warmup_share=0.1,
      weight_decay=0.01,
      max_length=16,
      predict_batch=16,
    )
    | changes
  )


def text_task() -> Task:
  """Label 1 says that "fish" is among the words."""
  rng = np.random.default_rng(0)

  def example():
    label = int(rng.integers(2))
    return Example((' '.join([*rng.choice(PLAIN, 4), 'fish' if label else 'boat']),), label)

  return Task(
    'sst2',
    'text',
    ('without', 'with'),
    dict(train=[example() for _ in range(20)], test=[example() for _ in range(20)]),
  )


def next_word_task() -> Task:
  """Two words: the label of the first is which the second is; the second has none."""
  rng = np.random.default_rng(0)

  def example():
    second = int(rng.integers(2))
    return Example((str(rng.choice(PLAIN)), ('fish', 'boat')[second]), (1 + second, 0))

  return Task(
    'conll2000',
    'words',
    ('O', 'B-NP', 'B-VP'),
    dict(train=[example() for _ in range(64)], test=[example() for _ in range(40)]),
  )


def run(task: Task, progress=None, **changes) -> dict:
  return finetune.finetune(*trunk(), task, recipe(**changes), split='test', progress=progress)


@pytest.fixture(scope='module')
def together():
  return run(text_task())


def test_seeds_side_by_side_are_the_same_seeds_alone(together):
  seen = []
  alone = run(text_task(), progress=lambda *args: seen.append(args), seeds=(1,))
  # A batched matrix product adds in another order: float32
  # differs in its last bits, grown over five updates.
  assert alone['final_losses'][0] == pytest.approx(together['final_losses'][1], rel=1e-4)
  assert alone['values'][0] == together['values'][1]
  assert alone['std'] == 0 and alone['seeds'] == [1]
  # Each update is reported once, with its tokens: 8 rows of five words, [CLS] and [SEP].
  assert [(done, of, tokens) for done, of, _, _, tokens in seen] == [
    (step, 5, 8 * 7) for step in range(1, 6)
  ]
  assert seen[-1][2] == pytest.approx(alone['final_losses'][0])


def test_seeds_need_not_follow_each_other():
  """Each has its own order of the examples, whichever the others are."""
  apart = run(text_task(), seeds=(2, 7), steps=3)
  alone = run(text_task(), seeds=(7,), steps=3)
  assert apart['final_losses'][1] == pytest.approx(alone['final_losses'][0], rel=1e-4)


def test_seeds_differ(together):
  assert len({round(loss, 5) for loss in together['final_losses']}) == 3


def test_the_result_says_what_was_done(together):
  assert (together['unit'], together['side'], together['higher_is_better']) == (
    'accuracy',
    'understanding',
    True,
  )
  assert together['value'] == pytest.approx(np.mean(together['values']))
  assert together['std'] == pytest.approx(np.std(together['values'], ddof=1))
  wanted = dict(
    finetune_mask='bidirectional',
    pooling='mean',
    learning_rate=1e-2,
    steps=5,
    split='test',
    rows=20,
    train_rows=20,
    cut_rows=dict(train=0, scored=0),
  )
  assert {name: together[name] for name in wanted} == wanted
  json.dumps(together)


def test_the_mask_of_fine_tuning_decides_what_can_be_learned():
  seen = run(next_word_task(), steps=60, seeds=(0,), batch_size=16)
  hidden = run(next_word_task(), steps=60, seeds=(0,), batch_size=16, mask='causal')
  assert seen['value'] > 0.95  # the second word settles the first's label
  assert hidden['value'] < 0.75 and hidden['finetune_mask'] == 'causal'


def test_first_token_under_a_causal_mask_is_refused_because_it_has_seen_nothing():
  with pytest.raises(
    ConfigError, match='pooling=first under a causal mask .* use pooling=last or pooling=mean'
  ):
    run(text_task(), mask='causal', pooling='first')
  network, params = small.network('bert_base', mask='causal', packed=True, heads=('sequence',))
  batch = small.batch(small.tokens(1, 6))
  seen = {}
  for pooling in finetune.POOLINGS:
    pooled = batch | classify.pool(batch['segment'], 1, pooling)
    other = pooled | dict(token=batch['token'].at[0, 3].add(1))
    logits, changed = (network.apply(params, each)['sequence'] for each in (pooled, other))
    seen[pooling] = float(jnp.abs(logits - changed).max()) > 0
  assert seen == dict(mean=True, last=True, first=False)


def test_a_pool_of_the_first_token_is_the_published_head():
  network, params = small.network('bert_base', packed=False, heads=('sequence',))
  batch = small.batch(small.tokens(2, 6))
  first = batch | classify.pool(batch['segment'], 1, 'first')
  pooled, published = (network.apply(params, each)['sequence'] for each in (first, batch))
  np.testing.assert_allclose(pooled, published, atol=1e-6)


def test_pooling_reads_each_text_of_a_row_and_no_padding():
  segment = jnp.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
  third = [1 / 3] * 3 + [0] * 3
  expected = [[third, [0, 0, 0, 0.5, 0.5, 0]], [[1 / 6] * 6, [0] * 6]]
  np.testing.assert_allclose(classify.pool(segment, 2, 'mean')['pool'], expected, atol=1e-7)
  assert classify.pool(segment, 2, 'last')['pool_at'][0].tolist() == [2, 4]
  assert classify.pool(segment, 2, 'first')['pool_at'][0].tolist() == [0, 3]


def test_failed_runs_are_those_that_do_not_beat_the_majority():
  scores = [dict(accuracy=value, f1=0.5) for value in (0.6, 0.7, 0.5, 0.9, 0.8)]
  found = finetune.summarise('accuracy', scores, dict(majority=0.6), [0.1, 0.1, 0.1, math.nan, 0.1])
  # 0.6 only equals the majority, 0.5 is below, 0.9 has no finite loss
  assert found['failed_share'] == 3 / 5
  assert (found['value'], found['min'], found['max']) == (pytest.approx(0.7), 0.5, 0.9)
  assert found['other_scores'] == dict(f1=dict(mean=0.5, std=0.0))


def test_epochs_count_where_no_steps_are_given():
  assert recipe(steps=0, epochs=1.5).updates(20) == 4 and recipe(steps=7).updates(20) == 7


def test_a_split_that_is_not_there_is_named():
  with pytest.raises(
    ConfigError, match='sst2 has no labelled split validation; there are train, test'
  ):
    finetune.finetune(*trunk(), text_task(), recipe(), split='validation')


def test_evaluations_of_other_names_stay(tmp_path):
  records.note_evaluations(tmp_path, dict(blimp=dict(value=0.5), finetune_rte=dict(value=0.1)))
  records.note_evaluations(tmp_path, dict(finetune_rte=dict(value=0.2)))
  assert json.loads((tmp_path / 'evaluations.json').read_text()) == dict(
    blimp=dict(value=0.5), finetune_rte=dict(value=0.2)
  )
  (tmp_path / 'evaluations.json').write_text('{')
  with pytest.raises(StateError, match='evaluations.json is damaged'):
    records.note_evaluations(tmp_path, dict(blimp=dict(value=0.5)))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A causal model as a workdir, and two tasks beside it."""
  path = tmp_path_factory.mktemp('finetune')
  config, params, tokenizer = trunk()
  params = jax.tree.map(np.asarray, {name: params[name] for name in ('embeddings', 'trunk')})
  loading.save(
    Model(config, 'causal', (), None, params, tokenizer, True, 'a small model'), path / 'model'
  )
  (path / 'sst2').mkdir()
  for split, name in dict(train='train', test='dev').items():
    lines = [f'{example.label} {example.texts[0]}' for example in text_task().splits[split]]
    for file in {name, split}:
      (path / f'sst2/{file}.txt').write_text('\n'.join(lines) + '\n')
  return path


def call(*args) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-m', 'tools.finetune', *map(str, args)],
    cwd=ROOT,
    text=True,
    timeout=600,
    capture_output=True,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )


@pytest.mark.slow
def test_the_program_writes_what_it_prints(folder):
  result = call(
    folder / 'model',
    '--tasks=sst2',
    f'--task_data={folder}',
    '--finetune_mask=same',
    '--steps=2',
    '--seeds=2',
    '--pooling=last',
    '--keep',
    '--json',
  )
  assert result.returncode == 0, result.stderr
  printed = json.loads(result.stdout)
  assert printed == json.loads((folder / 'model/evaluations.json').read_text())
  found = printed['finetune_sst2']
  assert (found['finetune_mask'], found['pretrained_mask'], found['pooling']) == (
    'causal',
    'causal',
    'last',
  )
  assert found['asked'] == dict(finetune_mask='same', steps=2, seeds=2, pooling='last')
  assert len(found['values']) == 2 and found['source'].startswith(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize(
  'args, code, words',
  [
    (
      ['{}/model', '--tasks=sst2', '--task_data={}'],
      2,
      '--finetune_mask=same, bidirectional or causal is needed',
    ),
    (['{}/model', '--task_data={}', '--finetune_mask=same'], 2, '--tasks=NAME'),
    (
      ['{}/model', '--tasks=sst2', '--task_data={}', '--finetune_mask=same', '--pooling=first'],
      2,
      'seen nothing',
    ),
    (
      ['{}/model', '--tasks=sts', '--task_data={}', '--finetune_mask=same'],
      4,
      "task 'sts' is not known",
    ),
    (
      ['{}/model', '--tasks=mrpc', '--task_data={}', '--finetune_mask=same'],
      4,
      'train.tsv: no such file',
    ),
    (['{}/none', '--tasks=sst2', '--task_data={}', '--finetune_mask=same'], 3, 'no such folder'),
  ],
)
def test_a_mistake_is_one_line_and_a_code(folder, args, code, words):
  result = call(*(arg.format(folder) for arg in args))
  assert result.returncode == code, result.stderr
  assert (
    words in result.stderr and 'Traceback' not in result.stderr and result.stderr.count('\n') == 1
  )
