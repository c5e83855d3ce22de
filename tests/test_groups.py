"""Groups of texts: how files are read, which groups share a batch, runs that learn from them."""

import json
from pathlib import Path
import re
import signal
import sys

import numpy as np
import pytest
import runs

from configs.embed import contrast, nli, sts
from configs.schema import check
from data.errors import DataError
from data.groups import files, labels, prepared
from data.groups.distinct import DistinctOrder
from data.tokens import tokenizer as tokenizers
from training import load

FILES = {
  'pairs.jsonl': ('{"anchor": "a b", "positive": "a c"}\n', ('a b', 'a c'), None),
  'list.jsonl': (
    '{"query": "a", "positive": "b", "negatives": ["c", "d"]}\n',
    ('a', 'b', 'c', 'd'),
    None,
  ),
  'triples.tsv': (
    'anchor\tpositive\tnegative\tnegative_2\na\tb\tc\t\n',
    ('a', 'b', 'c'),
    None,
  ),
  'sts.tsv': ('score\tsentence1\tsentence2\n4.5\ta "b\tc\n', ('a "b', 'c'), '4.5'),
  'nli.csv': ('premise,hypothesis,label\n"a, b",c,neutral\n', ('a, b', 'c'), 'neutral'),
  'texts.jsonl': ('{"text": "a b"}\n', ('a b', 'a b'), None),
}


@pytest.mark.parametrize('name', FILES)
def test_a_group_is_found_by_its_columns(tmp_path, name):
  text, texts, label = FILES[name]
  (tmp_path / name).write_text(text)
  [group] = files.load(str(tmp_path / name))['train']
  assert group.texts == texts and group.label == label
  first = text.splitlines()[0]
  names = json.loads(first) if name.endswith('.jsonl') else re.split('[,\t]', first)
  assert {*group.columns} == {*names}  # each file has only columns that are read


def test_the_page_names_every_column():
  page = (Path(__file__).parents[1] / 'docs/sentences.md').read_text()
  for name in {*files._SINGLES, *(name for pair in files._PAIRS for name in pair)}:
    assert f'`{name}`' in page, name


@pytest.mark.parametrize(
  'name, text, said',
  [
    ('a.tsv', 'anchor\tpositive\na\tb\nc\t \n', "line 3: 'positive' must be a text"),
    ('a.jsonl', '{"anchor": 1, "positive": "b"}\n', "line 1: 'anchor' must be a text"),
    ('a.jsonl', '{"left": "a", "right": "b"}\n', 'columns left, right'),
    ('a.txt', 'a\n', 'must end in .jsonl, .tsv, .csv'),
    ('a.tsv', 'anchor\tpositive\n', 'holds no rows'),
    ('a.tsv', 'score\tsentence1\tsentence2\n\ta\tb\n', "line 2: no 'score'"),
  ],
)
def test_a_bad_row_is_named(tmp_path, name, text, said):
  (tmp_path / name).write_text(text)
  with pytest.raises(DataError, match=said):
    files.load(str(tmp_path / name))


def test_scores_are_numbers_and_a_teacher_scores_every_text():
  group = files.Group(7, ('a', 'b', 'c'), 'high')
  with pytest.raises(DataError, match='line 7: the score must be a number'):
    files.scores('x', [group], 1.0)
  assert files.scores('x', [group._replace(label='4')], 5.0) == [0.8]
  assert files.score_lists('x', [group._replace(label=[2, 0.5])]) == [[2.0, 0.5]]
  assert files.score_lists('x', [group._replace(label=1.5)]) == [[1.5, 0.0]]
  with pytest.raises(DataError, match='3 scores for 2 texts'):
    files.score_lists('x', [group._replace(label=[1, 2, 3])])


def test_a_teacher_has_a_vector_for_each_text_or_one_for_all():
  group = files.Group(3, ('a', 'b'), [[1, 2.0], [3, 4]])
  assert files.vectors('x', [group]) == [[[1, 2.0], [3, 4]]]
  assert files.vectors('x', [group._replace(label=[5, 6])]) == [[[5, 6], [5, 6]]]
  for label, said in (
    (None, 'and is None'),
    ('[1, 2]', 'a vector must be a list of numbers'),
    ([], 'a vector must be a list of numbers, and is \\[\\]'),
    ([1, 'x'], 'a vector must be a list of numbers'),
    ([1, float('nan')], 'a vector must be a list of numbers'),
    ([[1, 2]], '1 vectors for 2 texts'),
    ([[1, 2], [1]], 'of different lengths: 1, 2'),
  ):
    with pytest.raises(DataError, match=f'line 3: .*{said}'):
      files.vectors('x', [group._replace(label=label)])
  with pytest.raises(DataError, match='of different lengths: 2, 3'):
    files.vectors('x', [group, group._replace(label=[1, 2, 3])])


def test_vectors_of_another_width_are_refused_with_what_makes_them_fit():
  with pytest.raises(DataError, match='3 dimensions, .* 8: config.model.projection=3'):
    labels.read('train', [files.Group(2, ('a',), [1, 2, 3])], 'vectors', (), 1.0, 2, 8)


@pytest.mark.parametrize('texts', ['pairs', 'single texts'])
def test_prompts_stand_before_texts_as_when_they_are_embedded(tmp_path, texts):
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *runs.WORDS, 'query', 'passage', ':']
  tokenizer = tokenizers.from_vocabulary(list(dict.fromkeys(words)), lowercase=True)
  tokenizer.save(tmp_path / 'tokenizer.json')
  rows = [dict(anchor='the bank', positive='old man', negative='river')] * 20
  if texts == 'single texts':
    rows = [dict(text='the bank')] * 20
  rows = [
    row | {name: f'{text} {runs.WORDS[n]}' for name, text in row.items()}
    for n, row in zip(range(len(runs.WORDS)), rows)
  ]
  (tmp_path / 'a.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  config = contrast.get_config()
  config.data.update(
    groups=str(tmp_path / 'a.jsonl'),
    tokenizer=str(tmp_path / 'tokenizer.json'),
    query_prompt='query: ',
    document_prompt='passage: ',
  )

  def prepare():
    return (
      prepared.prepare(config.data, vocab_size=99, labels='', causal=False, width=8)
      .splits['train']
      .texts
    )

  first = prepare()[0]
  said = [ids.tolist() for ids in first]
  expected = [
    tokenizer.encode([text])[0].tolist() for text in ('query:', *['passage:'] * (len(first) - 1))
  ]
  assert [ids[1:3] for ids in said] == expected
  config.data.query_prompt = '[SEP] '
  with pytest.raises(DataError, match='data.query_prompt=.*has .\\[SEP\\]'):
    prepare()


TEXTS = [(number % 37, 100 + number) for number in range(200)]  # texts 0 to 36 stand in several


def test_no_text_stands_twice_in_a_batch_and_a_batch_is_whole():
  order = DistinctOrder(TEXTS, 16, seed=3)
  assert order.batches_an_epoch == 12
  for step in range(3 * order.batches_an_epoch):
    ids, epoch = order.ids(step)
    texts = [text for number in ids for text in TEXTS[number]]
    assert len(ids) == 16 and len(set(texts)) == len(texts) and epoch == step // 12
  once = np.concatenate([order.ids(step)[0] for step in range(12)])
  assert len(set(once.tolist())) > 150  # nearly all groups, few of them twice


def test_a_batch_is_a_function_of_its_step():
  one, other = DistinctOrder(TEXTS, 16, seed=3), DistinctOrder(TEXTS, 16, seed=3)
  backwards = {step: other.ids(step)[0] for step in reversed(range(40))}
  for step in range(40):
    np.testing.assert_array_equal(one.ids(step)[0], backwards[step])
  assert (DistinctOrder(TEXTS, 16, seed=4).ids(0)[0] != one.ids(0)[0]).any()


def test_a_batch_that_cannot_be_whole_is_refused():
  with pytest.raises(DataError, match='only 37 groups share no text'):
    DistinctOrder(TEXTS, 40, seed=0)
  with pytest.raises(DataError, match='200 groups are fewer than config.batch_size=256'):
    DistinctOrder(TEXTS, 256, seed=0)


@pytest.mark.parametrize(
  'file, changes, said',
  [
    (contrast, {}, 'name their file'),
    (contrast, {'data.groups': 'a.tsv', 'data.task': 'csv:a'}, 'rows are of one of them'),
    (contrast, {'data.groups': 'a.tsv', 'mask': 'same'}, 'init_from=DIR is missing'),
    (nli, {'data.groups': 'a.tsv', 'mask': 'causal', 'model.projection': 8}, 'with nli'),
    (
      contrast,
      {'data.groups': 'a.tsv', 'mask': 'causal', 'model.pooling': 'first'},
      'sees nothing of its text',
    ),
    (
      sts,
      {'data.groups': 'a.tsv', 'mask': 'causal', 'vectors.dimensions': '9000'},
      'at most the 768',
    ),
    (
      sts,
      {'data.groups': 'a.tsv', 'mask': 'causal', 'vectors.dimensions': '64:x'},
      'sizes with or without',
    ),
    (
      contrast,
      {'data.groups': 'a.tsv', 'mask': 'causal', 'vectors.directions': 'doc_to_query'},
      'query_to_doc',
    ),
  ],
)
def test_a_config_that_makes_no_sense_is_refused(file, changes, said):
  config = file.get_config()
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  with pytest.raises((check.ConfigError, ValueError), match=said):
    check.check(config)


def pairs(folder):
  """Pairs of sentences that share their words, scored by how many."""
  rng = np.random.default_rng(0)
  rows = ['anchor\tpositive\tscore']
  for _ in range(60):
    words = rng.permutation(runs.WORDS)[:8].tolist()
    shared = int(rng.integers(0, 5))
    other = words[:shared] + words[4 : 8 - shared]
    rows.append(f'{" ".join(words[:4])}\t{" ".join(other)}\t{shared}')
  path = folder / 'pairs.tsv'
  path.write_text('\n'.join(rows) + '\n')
  return path


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A folder with a corpus, a trunk of two steps, and pairs."""
  folder = tmp_path_factory.mktemp('groups')
  text = runs.corpus(folder)
  few = {'steps': 2, 'validation.every': 2, 'optimizer.warmup_steps': 1, 'objectives.nsp': 0.5}
  finished = runs.run(runs.command('bert_tiny', folder / 'trunk', text, **few))
  assert finished.returncode == 0, finished.stderr
  pairs(folder)
  return folder


def train(folder, config, name, *, fault=None, **changes):
  """(workdir, what a run of configs/embed/ said)."""
  fields = dict(steps=12, batch_size=16, accumulate=4, init_from=folder / 'trunk') | {
    'data.groups': folder / 'pairs.tsv',
    'data.score_scale': 4.0,
    'data.sequence_length': 16,
    'data.cache': folder / 'cache',
    'model.dropout': 0.1,
    'optimizer.learning_rate': 1e-3,
    'validation.every': 6,
    'checkpoint.every': 4,
    'log.tensorboard': False,
  }
  named = [f'--config.{key}={value}' for key, value in (fields | changes).items()]
  workdir = folder / name
  args = ['train.py', f'--config=configs/embed/{config}.py', f'--workdir={workdir}', *named]
  return workdir, runs.run([sys.executable, *args], fault=fault)


@pytest.mark.slow
def test_a_contrastive_run_that_is_killed_ends_bit_identical(made):
  whole, said = train(made, 'contrast', 'whole')
  assert said.returncode == 0, said.stderr
  killed, said = train(made, 'contrast', 'killed', fault='die_at_step:6')
  assert said.returncode == -signal.SIGKILL
  killed, said = train(made, 'contrast', 'killed')
  assert said.returncode == 0, said.stderr
  assert runs.rows(killed) == runs.rows(whole) and runs.digest(killed) == runs.digest(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
  'config, changes',
  [
    ('sts', {}),
    ('sts', {'objectives': '{"cosine": 1.0, "mlm": 0.1}', 'vectors.dimensions': '32 8:0.5'}),
    ('nli', {'model.pooling': 'max'}),
    ('contrast', {'mask': 'causal', 'model.pooling': 'weighted_mean', 'model.projection': 16}),
  ],
)
def test_every_objective_learns_and_its_model_embeds(made, config, changes):
  name = f'{config}{len(changes)}'
  workdir, said = train(made, config, name, steps=60, accumulate=1, **changes)
  assert said.returncode == 0, said.stderr
  losses = [row['train/loss'] for row in runs.rows(workdir) if 'train/loss' in row]
  assert np.mean(losses[-10:]) < np.mean(losses[:10])
  (made / 'lines.txt').write_text('the bank\nold man river\n')
  out = made / f'{name}.npy'
  embed = ['-m', 'tools.embed', f'--weights={workdir}', f'--input={made}/lines.txt']
  said = runs.run([sys.executable, *embed, f'--output={out}'])
  assert said.returncode == 0, said.stderr
  assert np.load(out).shape == (2, 16 if 'model.projection' in changes else 32)


@pytest.mark.slow
def test_vectors_of_a_teacher_are_learned_and_known_by_the_certificate(made):
  """The teacher is another model, of another width; its vectors come from tools.embed."""
  lines = [' '.join(words) for words in np.random.default_rng(1).choice(runs.WORDS, (60, 5))]
  (made / 'lines.txt').write_text('\n'.join(dict.fromkeys(lines)) + '\n')
  path = made / 'vectors.jsonl'
  embed = ['tools.embed', f'--weights={made}/trunk', f'--input={made}/lines.txt']
  said = runs.run([sys.executable, '-m', *embed, f'--output={path}', '--truncate_dim=12'])
  assert said.returncode == 0, said.stderr
  rows = [json.loads(line) for line in path.open()]
  assert [row['text'] for row in rows] == [*dict.fromkeys(lines)]
  assert {len(row['vector']) for row in rows} == {12}
  student = {
    'objectives': '{"distill_vectors": 1.0}',
    'data.groups': path,
    'model.projection': 12,
    'model.projection_activation': 'identity',
    'optimizer.learning_rate': 1e-2,
    'model.dropout': 0.0,
  }
  workdir, said = train(made, 'contrast', 'student', steps=60, accumulate=1, **student)
  assert said.returncode == 0, said.stderr
  losses = [row['train/loss'] for row in runs.rows(workdir) if 'train/loss' in row]
  assert np.mean(losses[-10:]) < 0.3 * losses[0]
  found = json.loads((workdir / 'certificate.json').read_text())['data']
  path.write_text(''.join(json.dumps(row | dict(vector=[1.0] * 12)) + '\n' for row in rows))
  other, said = train(made, 'contrast', 'other', steps=1, accumulate=1, **student)
  assert said.returncode == 0, said.stderr
  assert json.loads((other / 'certificate.json').read_text())['data'] != found


@pytest.mark.slow
def test_prompts_of_the_training_are_those_of_the_model_and_of_its_export(made):
  prompts = {'data.query_prompt': 'old ', 'data.document_prompt': 'river '}
  workdir, said = train(made, 'contrast', 'prompted', steps=2, accumulate=1, **prompts)
  assert said.returncode == 0, said.stderr
  model = load.load(workdir)
  assert model.prompts == dict(query='old ', document='river ') and model.default_prompt == ''
  out = made / 'prompted_out'
  convert = ['tools.convert', '--export=sentence-transformers', f'--workdir={workdir}']
  said = runs.run([sys.executable, '-m', *convert, f'--to={out}'])
  assert said.returncode == 0, said.stderr
  kept = json.loads((out / 'config_sentence_transformers.json').read_text())
  assert kept['prompts'] == model.prompts and kept['default_prompt_name'] is None
  (made / 'one.txt').write_text('the bank\n')
  (made / 'two.txt').write_text('river the bank\n')
  found = []
  for file, flags in (('one', ['--prompt=document']), ('two', []), ('one', [])):
    embed = ['tools.embed', f'--weights={workdir}', f'--input={made}/{file}.txt', *flags]
    said = runs.run([sys.executable, '-m', *embed, f'--output={made}/prompted.npy'])
    assert said.returncode == 0, said.stderr
    found.append(np.load(made / 'prompted.npy'))
  np.testing.assert_array_equal(found[0], found[1])
  assert np.abs(found[0] - found[2]).max() > 1e-3
  same, said = train(
    made, 'contrast', 'same', steps=1, accumulate=1, **dict.fromkeys(prompts, 'old ')
  )
  assert said.returncode == 0 and load.load(same).default_prompt == 'old '


@pytest.mark.slow
def test_poolings_are_scored_before_and_after_a_training(made):
  (tasks := made / 'poolings').mkdir()
  cells = [line.split('\t') for line in (made / 'pairs.tsv').read_text().splitlines()]
  rows = ['score\tsentence1\tsentence2', *('\t'.join([row[2], *row[:2]]) for row in cells[1:])]
  (tasks / 'train.tsv').write_text('\n'.join(rows) + '\n')
  (tasks / 'stsb.test.tsv').write_text('\n'.join(rows[1:]) + '\n')
  trained = ['--groups=train.tsv', '--steps=40', '--max_length=16', '--learning_rate=0.003']
  for flags in ([], trained):
    asked = ['tools.poolings', str(made / 'trunk'), '--tasks=mean,first', f'--task_data={tasks}']
    said = runs.run([sys.executable, '-m', *asked, *flags, '--json'])
    assert said.returncode == 0, said.stderr
  kept = json.loads((made / 'trunk/evaluations.json').read_text())
  assert {*kept} == {'sts_mean', 'sts_first', 'sts_mean_cosent', 'sts_first_cosent'}
  assert {**kept, **json.loads(said.stdout)} == kept
  for pooling in ('mean', 'first'):
    before, after = kept[f'sts_{pooling}'], kept[f'sts_{pooling}_cosent']
    assert before['pooling'] == after['pooling'] == pooling and after['value'] != before['value']
  assert kept['sts_mean']['value'] < kept['sts_mean_cosent']['value']
  assert kept['sts_mean']['value'] != kept['sts_first']['value']


@pytest.mark.slow
def test_a_run_is_scored_on_pairs_that_it_has_not_seen(made):
  workdir, said = train(made, 'sts', 'scored')
  assert said.returncode == 0, said.stderr
  (made / 'tasks').mkdir()
  lines = (made / 'pairs.tsv').read_text().splitlines()[1:21]
  cells = [line.split('\t') for line in lines]
  (made / 'tasks/stsb.test.tsv').write_text(
    ''.join(f'{i % 5}\t{row[0]}\t{row[1]}\n' for i, row in enumerate(cells))
  )
  asked = [f'--workdir={workdir}', '--tasks=sts', f'--task_data={made / "tasks"}', '--json']
  said = runs.run([sys.executable, 'eval.py', *asked])
  assert said.returncode == 0, said.stderr
  found = json.loads(said.stdout)
  assert found['tasks']['sts']['value'] == found['tasks']['sts_stsb']['value']
  assert json.loads((workdir / 'evaluations.json').read_text()) == found['tasks']
  assert found['step'] == 12  # and its own validation after that
