"""A task of one's own: what is read, and what is refused with file, line and reason."""

import gzip
import json
import math

import ml_collections
import pytest

from data.errors import DataError
from data.tasks import open_task, own
from data.tasks.files import Example
from evaluation.vectors import ranking


def data(task: str, **changes):
  fields = dict(task=task, task_files='', columns='', labels='auto', validation_share=0.2)
  return ml_collections.ConfigDict(fields | changes)


def table(kind: str, rows: list[dict]) -> str:
  """Rows as a file of a kind has them."""
  if kind == 'jsonl':
    return ''.join(json.dumps(row) + '\n' for row in rows)
  names = list(rows[0])
  if kind == 'tsv':
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    return ''.join('\t'.join(line) + '\n' for line in lines)
  quoted = lambda cell: '"' + str(cell).replace('"', '""') + '"'
  lines = [names, *([quoted(row[name]) for name in names] for row in rows)]
  return ''.join(','.join(line) + '\r\n' for line in lines)


def texts(count: int, labels) -> list[dict]:
  return [dict(text=f'text "{i}", one', label=labels[i % len(labels)]) for i in range(count)]


@pytest.mark.parametrize('kind', own.KINDS)
@pytest.mark.parametrize('packed', [False, True])
def test_a_folder_of_files_is_read_with_its_own_splits(kind, packed, tmp_path):
  for split, count in dict(train=8, dev=4, test=2).items():
    content = table(kind, texts(count, ['b', 'a'])).encode()
    name = f'{split}.{kind}' + ('.gz' if packed else '')
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
  task = open_task.load(data(f'{kind}:{tmp_path}'))
  assert {split: len(examples) for split, examples in task.splits.items()} == dict(
    train=8, validation=4, test=2
  )
  assert task.classes == ('a', 'b') and task.kind == 'text' and task.labels == 'class'
  assert task.splits['train'][0] == (('text "0", one',), 1, None)
  assert task.counts('test') == dict(a=1, b=1)


def test_a_quoted_cell_may_hold_a_line_end_and_lines_are_still_counted_right(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text('text,label\n"one\ntwo",x\nthree,y\n,x\n')
  with pytest.raises(DataError, match=r"a.csv, line 5: 'text' must be a text, and is empty"):
    open_task.load(data(f'csv:{path}'))
  path.write_text('text,label\n"one\ntwo",x\nthree,y\nfour,x\n')
  task = open_task.load(data(f'csv:{path}', validation_share=0.25))
  assert ('one\ntwo',) in [example.texts for part in task.splits.values() for example in part]


@pytest.mark.parametrize(
  'labels, classes',
  [
    (['10', '9', '2'], ('2', '9', '10')),
    (['1', '0', '-1'], ('-1', '0', '1')),
    (['b', '10', '9'], ('10', '9', 'b')),
  ],
)
def test_classes_that_look_like_numbers_sort_as_numbers(labels, classes, tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text(table('csv', texts(30, labels)))
  assert open_task.load(data(f'csv:{path}')).classes == classes


@pytest.mark.parametrize(
  'labels, asked, kind',
  [
    (['1', '2'], 'auto', 'class'),
    (['1.5', '2', '3'], 'auto', 'number'),
    (['1', '2', '3'], 'number', 'number'),
    ([['x', 'y'], ['x'], []], 'auto', 'several'),
    (['x,y', 'x', ''], 'several', 'several'),
  ],
)
def test_labels_are_what_they_look_like_or_what_is_asked(labels, asked, kind, tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text(table('jsonl', texts(30, labels)))
  task = open_task.load(data(f'jsonl:{path}', labels=asked))
  assert task.labels == kind
  seen = {str(example.label) for example in task.splits['train']}
  expected = dict(
    number={'1.5', '2.0', '3.0'} if '1.5' in labels else {'1.0', '2.0', '3.0'},
    several={'(0, 1)', '(0,)', '()'},
  )
  assert seen == expected.get(kind, {'0', '1'})


@pytest.mark.parametrize(
  'header, asked, texts_of',
  [
    ('text,label', '', ('a',)),
    ('Sentence1,sentence2,label', '', ('a', 'b')),
    ('question,sentence,label', '', ('a', 'b')),
    ('review,stars', 'text=review,label=stars', ('a',)),
    ('review,label', '', ('a',)),
    ('one,two,label', 'text_a=two,text_b=one', ('b', 'a')),
  ],
)
def test_columns_are_found_by_their_names_or_named(header, asked, texts_of, tmp_path):
  path = tmp_path / 'a.csv'
  cells = 'a,b,{}' if header.count(',') == 2 else 'a,{}'
  path.write_text('\n'.join([header, *(cells.format(i % 2) for i in range(4))]) + '\n')
  test = tmp_path / 'b.csv'
  test.write_text('\n'.join([header, cells.format(1)]) + '\n')
  task = open_task.load(data(f'csv:train={path},validation={test}', columns=asked))
  assert task.splits['validation'][0].texts == texts_of
  assert task.kind == ('pair' if len(texts_of) == 2 else 'text')


@pytest.mark.parametrize(
  'content, changes, message',
  [
    ('text,label\na,x\nb\n', {}, r'line 3: 1 cells under the 2 columns'),
    ('text,label\n"a,x\nb,y\n', {}, r'line 2: not CSV'),
    ('text,label\na,x\nb,\n', {}, r"line 3: one label is expected, found ''"),
    ('text,label\na,x\nb,x\n', {}, "the only label is 'x'; two are needed"),
    ('one,two,label\na,b,x\n', {}, 'has no column for the text. Its columns are one, two, label'),
    ('text,title,sentence\na,b,x\n', {}, 'has no column for the label'),
    ('text,sentence,label\na,b,x\n', {}, 'could be read in several ways'),
    ('text,label\na,x\n', dict(columns='text=txt'), "no column 'txt'.*did you mean text"),
    ('text,label\na,x\n', dict(columns='txt=text'), "'txt=text' is not text=NAME"),
    ('text,label\na,x\nb,1.5\n', dict(labels='number'), "line 2: the label must be a number.*'x'"),
    ('text,text,label\n', {}, "line 1: two columns are called 'text'"),
    ('text,label\n', {}, 'holds no rows'),
    ('text,label\na,x\na,x\na,y\n', {}, 'too few to set some aside'),
  ],
)
def test_what_is_wrong_is_said_with_its_place(content, changes, message, tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text(content)
  with pytest.raises(DataError, match=message):
    open_task.load(data(f'csv:{path}', **changes))


@pytest.mark.parametrize(
  'files, where, message',
  [
    ([], '{}/none.csv', 'none.csv: no such file$'),
    (['train.csv'], '{}/trian.csv', 'trian.csv: no such file. Did you mean .*train.csv'),
    (['train.csv'], 'train={0}/train.csv,test={0}/none', 'none, the test split: no such file$'),
    ([], '{}', 'no train.csv in this folder; it holds nothing'),
    (['test.csv'], '{}', 'nothing to train on, only test'),
    (['train.csv', 'dev.csv', 'val.csv'], '{}', 'dev.csv and val.csv could both be'),
    (['train.csv'], 'train={}/train.csv,tst=x', "'tst=x' is not one of train=FILE"),
  ],
)
def test_files_that_are_not_there_are_named(files, where, message, tmp_path):
  for name in files:
    (tmp_path / name).write_text('text,label\na,x\nb,y\n')
  with pytest.raises(DataError, match=message):
    open_task.load(data('csv:' + where.format(tmp_path)))


def test_what_is_set_aside_is_said_and_copies_of_a_text_stay_together(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text(table('csv', texts(40, ['x', 'y']) * 2))
  task = open_task.load(data(f'csv:{path}'))
  assert len(task.splits['train']) + len(task.splits['validation']) == 80
  assert len(task.splits['validation']) == 16
  sides = [{example.texts for example in task.splits[split]} for split in ('train', 'validation')]
  assert not sides[0] & sides[1]
  assert any('16 training rows were set aside' in note for note in task.notes)


def test_a_test_file_may_lack_labels(tmp_path):
  (tmp_path / 'train.csv').write_text('text,label\na,x\nb,y\nc,x\nd,y\n')
  (tmp_path / 'test.csv').write_text('text\na\n')
  task = open_task.load(data(f'csv:{tmp_path}'))
  assert task.splits['test'][0] == (('a',), None, None)


def test_a_task_that_is_not_known_is_told_what_there_is():
  with pytest.raises(DataError, match='xml.* is none of csv, tsv, jsonl, conll'):
    open_task.load(data('xml:a'))
  with pytest.raises(DataError, match="task 'sst' is not known; these are: .*sst2.*csv:PATH"):
    open_task.load(data('sst'))
  with pytest.raises(DataError, match='--config.data.task_files=FOLDER'):
    open_task.load(data('sst2'))


WORDS = '-DOCSTART- -X- O\n\nHe PRP B-NP\npaid VBD B-VP\n\n# id = 1\nthe DT B-NP\nboat NN I-NP\n'


@pytest.mark.parametrize('separator', [' ', '   ', '\t'])
def test_words_are_read_in_any_columns(separator, tmp_path):
  path = tmp_path / 'a.conll'
  text = '\n'.join(
    line if line.startswith('#') else line.replace(' ', separator) for line in WORDS.split('\n')
  )
  path.write_text(text)
  task = open_task.load(data(f'conll:train={path},validation={path}'))
  assert task.kind == 'words' and task.classes == ('B-NP', 'B-VP', 'I-NP')
  assert task.splits['train'] == [(('He', 'paid'), (0, 1), None), (('the', 'boat'), (0, 2), None)]
  parts = open_task.load(data(f'conll:train={path},validation={path}', columns='word=1,label=2'))
  assert parts.classes == ('DT', 'NN', 'PRP', 'VBD')


def test_a_space_that_does_not_break_is_part_of_a_word(tmp_path):
  path = tmp_path / 'a.conll'
  path.write_text('d\u00a0t O\nb B-X\n\na O\n')
  task = open_task.load(data(f'conll:train={path},validation={path}'))
  assert task.splits['train'][0].texts == ('d\u00a0t', 'b')


@pytest.mark.parametrize(
  'content, columns, message',
  [
    ('a B-X\nb\n', '', r"line 2: expected a word and its tag in 2 columns, found 'b'"),
    ('a B-X\nb O O\n', '', 'line 2'),
    ('a O\n\nb O\n', '', 'the only tag is'),
    ('a O\nb B-X\n', 'word=1,label=9', 'has not so many columns'),
    ('a O\nb B-X\n', 'tag=2', 'expected word=1,label=4, counted from 1'),
  ],
)
def test_what_is_wrong_with_columns_is_said(content, columns, message, tmp_path):
  path = tmp_path / 'a.conll'
  path.write_text(content)
  with pytest.raises(DataError, match=message):
    open_task.load(data(f'conll:{path}', columns=columns))


@pytest.mark.parametrize('kind', own.KINDS)
def test_choices_are_a_list_or_numbered_columns(kind, tmp_path):
  rows = [
    dict(sent1=f'He sat {i}.', sent2='He', ending0='rose.', ending1='sank.', label=i % 2)
    for i in range(6)
  ]
  if kind == 'jsonl':
    rows = [
      dict(question=row['sent1'], choices=['He rose.', 'He sank.'], label=row['label'])
      for row in rows
    ]
  path = tmp_path / f'train.{kind}'
  path.write_text(table(kind, rows))
  task = open_task.load(data(f'choices:{tmp_path}'))
  assert task.kind == 'choices' and sum(map(len, task.splits.values())) == 6
  every = [example for part in task.splits.values() for example in part]
  assert {example.texts[1:] for example in every} == {('He rose.', 'He sank.')}
  assert all(example.label == int(example.texts[0][7]) % 2 for example in every)


@pytest.mark.parametrize(
  'row, message',
  [
    (dict(choices=['a', 'b'], label=0), 'no context or question or sent1'),
    (dict(question='q', choices=['a'], label=0), 'two answers are needed'),
    (dict(question='q', choices=['a', ' '], label=0), 'an answer is empty'),
    (dict(question='q', choices=['a', 'b'], label=2), 'a number from 0 to 1, and is 2'),
  ],
)
def test_what_is_wrong_with_choices_is_said(row, message, tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text(json.dumps(row) + '\n')
  with pytest.raises(DataError, match=f'line 1: .*{message}'):
    open_task.load(data(f'choices:{path}'))


def test_lists_to_rank_are_docs_or_groups(tmp_path):
  (tmp_path / 'train.jsonl').write_text(
    '{"query": "q", "docs": ["a", "b", "c"], "labels": [0, 2.5, 1]}\n' * 2
    + '{"query": "r", "docs": ["a", "b"], "scores": [-1, 1]}\n' * 2
  )
  task = open_task.load(data(f'ranked:{tmp_path}'))
  every = {example for split in task.splits.values() for example in split}
  assert every == {
    Example(('q', 'a', 'b', 'c'), (0.0, 2.5, 1.0)),
    Example(('r', 'a', 'b'), (-1.0, 1.0)),
  }
  (tmp_path / 'mined.jsonl').write_text(
    ''.join(
      f'{{"anchor": "q {n}", "positive": "a", "negative": "b", "negative_2": "c"}}\n'
      for n in range(12)
    )
  )
  task = open_task.load(data(f'ranked:{tmp_path / "mined.jsonl"}'))
  assert task.kind == 'ranked' and task.classes == ()
  first = task.splits['train'][0]
  assert first.texts[1:] == ('a', 'b', 'c') and first.label == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
  'row, message',
  [
    (dict(query='q', docs='a', labels=[1]), "docs must be a list of texts, and is 'a'"),
    (dict(query='q', docs=['a', ''], labels=[1, 0]), "must be texts, and one is ''"),
    (dict(docs=['a', 'b'], labels=[1, 0]), 'must be texts, and one is None'),
    (dict(query='q', docs=['a', 'b'], labels=[1]), '1 scores for 2 texts'),
    (dict(query='q', docs=['a', 'b'], labels=[1, 'x']), 'must be a list of numbers'),
    (dict(query='q', docs=['a', 'b']), 'must be a list of numbers, and are None'),
    (dict(query='q', docs=['a', 'b'], labels=[2, 2]), 'all texts have one score'),
    (dict(query='q', positive='a'), 'all texts have one score'),
    (dict(query='q', positive='a', negative='b', scores=[1]), '1 scores for 2 texts'),
  ],
)
def test_what_is_wrong_with_lists_is_said(row, message, tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text(json.dumps(row) + '\n')
  with pytest.raises(DataError, match=f'line 1: .*{message}'):
    open_task.load(data(f'ranked:{path}'))


def test_a_constant_ranks_nothing_and_the_worse_of_equals_come_first():
  found = ranking.lists([(1.0, 0.0), (0.0, 3.0, 1.0)], [(0.0, 0.0), (0.1, 0.9, 0.5)])
  assert found['accuracy'] == 0.5
  assert found['ndcg@10'] == pytest.approx((1 / math.log2(3) + 1) / 2)
  assert 'ndcg@10' not in ranking.lists([(-1.0, 0.0)], [(0.0, 1.0)])
