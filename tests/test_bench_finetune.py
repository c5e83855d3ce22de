"""Fine-tuning beside transformers: both sides read the same rows; the table says what differs."""

import json
import random

import numpy as np
import pytest
import tokenizer_folders

from data.tasks import labelled, open_task, question_rows, rows, squad
from data.tasks.files import Example
from data.tasks.labelled import Task
from data.tokens import pretrained
from tools.bench import beside, same_rows
from tools.bench.pairs import measure

PARITY = "needs the extra parity: pip install -e '.[parity]'"


def sst2(folder):
  """A folder with a small sst2/, of ragged lines."""
  draw = random.Random(0)
  (folder / 'sst2').mkdir()
  for split, count in dict(train=96, dev=6, test=7).items():
    lines = [f'{n % 2} the dog sleeps{" well" * draw.randrange(30)}\n' for n in range(count)]
    (folder / f'sst2/{split}.txt').write_text(''.join(lines))
  return folder


def test_rows_for_both_are_those_of_the_published_files(tmp_path):
  task = labelled.load('sst2', sst2(tmp_path))
  again = open_task.load_named(same_rows.write('sst2', tmp_path, tmp_path / 'rows', 5), '')
  assert again.splits['train'] == task.splits['train'] and again.kind == task.kind
  assert again.splits['test'] == task.limited(5).splits['test'] and len(again.splits['test']) == 5


def test_the_interval_of_a_difference_is_that_of_welch():
  from scipy import stats

  draw = np.random.default_rng(0)
  for size in (2, 3, 5, 9):
    for _ in range(50):
      ours, peer = draw.normal(size=(2, size)) * draw.uniform(0.1, 3, (2, 1))
      difference, half = beside.apart(list(ours), list(peer))
      found = stats.ttest_ind(ours, peer, equal_var=False).confidence_interval(0.95)
      np.testing.assert_allclose((difference - half, difference + half), found, rtol=1e-6)
  assert beside.apart([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.0)


def test_the_table_marks_what_is_apart_and_waits_for_all_seeds(tmp_path):
  def keep(side: str, name: str, values: list[float]):
    (tmp_path / side).mkdir(exist_ok=True)
    for seed, value in enumerate(values):
      found = dict(metric='accuracy', score=value, rate=10.0 if side == 'peer' else 40.0)
      (tmp_path / f'{side}/{name}-{seed}.json').write_text(json.dumps(found))

  keep('ours', 'sst2', [0.8, 0.81, 0.82]), keep('peer', 'sst2', [0.81, 0.8, 0.84])
  keep('ours', 'trec', [0.8, 0.81, 0.82]), keep('peer', 'trec', [0.7, 0.71, 0.72])
  keep('ours', 'rte', [0.8, 0.81, 0.82]), keep('peer', 'rte', [0.7, 0.71])
  _, _, *lines = beside.table(tmp_path, ['sst2', 'trec', 'rte'], 3)
  assert ['apart' in line for line in lines] == [False, True]
  assert lines[1].startswith('| `trec` | accuracy | 0.810 ± 0.010 | 0.710 ± 0.010 | +0.100')
  assert lines[1].endswith('| 40 / 10 | 4.0 |')


def test_the_time_of_a_step_is_that_of_its_own_tokens():
  rows = [dict(tokens=n, tokens_per_second=r) for n, r in ((100, 50.0), (300, 100.0), (350, 25.0))]
  assert beside.seconds_of(rows) == [2.0, 2.0, 2.0]


def weights(folder) -> str:
  """A small random BERT with a tokenizer, as transformers keeps them."""
  transformers = pytest.importorskip('transformers', reason=PARITY)
  tokenizer_folders.write_vocabulary(folder, tokenizer_folders.wordpiece(), 'both')
  config = transformers.BertConfig(
    vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
  )
  transformers.BertModel(config).save_pretrained(folder)
  return str(folder)


def drawn(draw: random.Random, most: int) -> tuple[str, ...]:
  words = ' '.join(tokenizer_folders.SENTENCES[:2]).replace('[MASK]', '').split()
  return tuple(draw.choices(words, k=draw.randrange(1, most)))


def task_of(kind: str, draw: random.Random) -> Task:
  examples = []
  for number in range(40):
    if kind == 'words':
      words = drawn(draw, 30)
      examples.append(Example(words, tuple(draw.randrange(3) for _ in words)))
    elif kind == 'question':
      context = ' '.join(drawn(draw, 120))
      start = draw.choice([at for at in range(len(context)) if context[at - 1 : at] in ('', ' ')])
      text = context[start:].split(' ')[0]
      answers = squad.Answers((text,), start)
      examples.append(squad.Question((' '.join(drawn(draw, 8)), context), answers, str(number), ''))
    else:
      texts = tuple(' '.join(drawn(draw, 40)) for _ in range(2 if kind == 'pair' else 1))
      examples.append(Example(texts, draw.randrange(3)))
  return Task('drawn', kind, ('a', 'b', 'c'), dict(train=examples))


@pytest.mark.parametrize('kind', ['text', 'pair', 'words', 'question'])
def test_the_peer_reads_the_tokens_and_labels_that_we_read(kind, tmp_path):
  folder = weights(tmp_path)
  pytest.importorskip('accelerate', reason=PARITY)
  from tools.bench.peer_finetune import IGNORED, Peer

  tokenizer, T = pretrained.load(f'{folder}/tokenizer.json', True), 40
  task = task_of(kind, random.Random(kind))
  theirs = Peer(folder, task, T, stride=8).features('train')
  examples = task.splits['train']
  if kind == 'question':
    examples, framed = question_rows.frame(examples, tokenizer, max_length=T, stride=8)
    assert [row['owner'] for row in theirs] == [window.owner for window in examples]
    ends = [(row['start_positions'], row['end_positions']) for row in theirs]
    assert ends == [window.label for window in examples] and any(end != (0, 0) for end in ends)
  else:
    framed = rows.frame(kind, examples, tokenizer, max_length=T)
  assert len(theirs) == len(framed.parts) and (framed.cut or kind == 'question')
  for number, (row, part) in enumerate(zip(theirs, framed.parts)):
    ours = [tokenizer.bos, *(token for ids in part for token in (*ids, tokenizer.eos))]
    assert row['input_ids'] == ours
    assert row['token_type_ids'] == [0] * (len(part[0]) + 2) + [
      1 for ids in part[1:] for _ in (*ids, 0)
    ]
    if kind == 'words':
      at = {int(place): n for n, place in enumerate(framed.word_start[number]) if place}
      expected = [examples[number].label[at[n]] if n in at else IGNORED for n in range(len(ours))]
      assert row['labels'] == expected
    elif kind != 'question':
      assert row['label'] == examples[number].label


def test_a_word_that_the_peer_cut_off_has_no_tag():
  pytest.importorskip('accelerate', reason=PARITY)
  from tools.bench.peer_finetune import _tagged

  assert _tagged([None, 0, None, 2, None], np.array([9, 5, 9, 7, 9, 9]), 4) == (5, -1, 7, -1)


@pytest.mark.slow
@pytest.mark.parametrize('against', ['none', 'transformers'])
def test_updates_are_measured(against, tmp_path):
  if against == 'transformers':
    pytest.importorskip('accelerate', reason=PARITY)
  (text := tmp_path / 'text.txt').write_text(
    '\n\n'.join(f'The old man {n} sat.' for n in range(90))
  )
  found = measure(
    'finetune-sst2', against=against, rounds=1, corpus=f'text:{text}', task_data=sst2(tmp_path)
  )
  assert found['ours'] > 0 and found['unit'] == 'examples/s'
  assert (found['ratio'] is None) == (against == 'none')
