"""Predictions: what the network says of each text, whatever arrives with it."""

import csv
import json
import subprocess
import sys

from in_process import call
import numpy as np
import pytest
import runs
import small
from test_convert import WORDS, random_weights
import tokenizers as library
from tokenizers import models, pre_tokenizers, processors

from data.tasks import arriving
from data.tokens import frames
from data.tokens.tokenizer import Tokenizer
from inference.labels import Labels
from inference.model import Model
from inference.predict import Predictor
from training import load as loading

NAMES = ('boat', 'fish', 'old')
TAGS = ('B-LOC', 'B-PER', 'I-LOC', 'I-PER', 'O')
TEXTS = [
  'the old boat', 'a river', 'he paid cash into the bank, old fish', 'fish', 'boat. ' * 9,
  'the bank of a river', 'he', 'old ' * 50,
]  # fmt: skip


def labelled(kind='text', labels='class', pooling='first', config='bert_base', mask=None) -> Model:
  """A random model with a head for labels."""
  heads = ('tokens',) if kind == 'words' else ('sequence',)
  names = TAGS if kind == 'words' else NAMES
  mask = mask or ('causal' if config.startswith('gpt2') else 'bidirectional')
  changes = dict(classes=1 if labels == 'number' else len(names))
  network, params = small.network(config, mask=mask, packed=False, heads=heads, **changes)
  meant = Labels(kind, labels, () if labels == 'number' else names, pooling, 32, True)
  return random_weights('bert')._replace(
    config=small.model(config, **changes),
    mask=mask,
    heads=heads,
    network=network,
    params=params,
    labels=meant,
  )


def row_of(model: Model, ids: list[np.ndarray]) -> dict:
  """A batch of one text or pair, alone and without padding."""
  bos, eos = model.tokenizer.bos, model.tokenizer.eos
  token, types = [bos], [0]
  for number, part in enumerate(ids):
    token += [*part, eos]
    types += [number] * (len(part) + 1)
  return small.batch([token]) | dict(type=np.array([types], np.int32))


def said_alone(model: Model, texts: tuple[str, ...]) -> np.ndarray:
  """Logits C of a text, or of a pair, computed alone."""
  parts = [ids[:29] for ids in model.tokenizer.encode([*texts])]
  batch = row_of(model, parts)
  T = batch['token'].shape[1]
  if model.labels.pooling == 'mean':
    batch['pool'] = np.full((1, 1, T), 1 / T, np.float32)
  else:
    batch['pool_at'] = np.array([[0 if model.labels.pooling == 'first' else T - 1]])
  return np.asarray(model.network.apply(model.params, batch)['sequence'])[0, 0]


@pytest.mark.parametrize(
  'labels, pooling, config',
  [
    ('class', 'first', 'bert_base'),
    ('several', 'mean', 'bert_base'),
    ('number', 'last', 'bert_base'),
    ('class', 'last', 'gpt2_small'),
  ],
)
def test_a_text_is_said_the_same_of_alone_and_among_others(labels, pooling, config, tmp_path):
  model = labelled(labels=labels, pooling=pooling, config=config)
  loading.save(model, tmp_path / 'saved')
  predictor = Predictor(loading.load(tmp_path / 'saved'), batch_size=3)
  for text, said in zip(TEXTS, predictor.texts([(text,) for text in TEXTS])):
    logits_C = said_alone(model, (text,))
    odds_C = np.exp(logits_C)
    expected_C = odds_C / (odds_C.sum() if labels == 'class' else 1 + odds_C)
    assert said.cut == max(0, len(model.tokenizer.encode([text])[0]) - 30)
    if said.cut:
      continue
    if labels == 'number':
      assert said.label == pytest.approx(logits_C[0], abs=1e-5) and said.probability == ()
    else:
      assert said.probability == pytest.approx(expected_C, abs=1e-5)
      chosen = tuple(np.flatnonzero(logits_C > 0)) if labels == 'several' else logits_C.argmax()
      assert said.label == chosen


def test_pairs_are_pairs():
  model = labelled('pair')
  pairs = [('the old boat', 'fish'), ('a river', 'he paid cash'), ('he', 'a')]
  for pair, said in zip(pairs, Predictor(model).texts(pairs)):
    logits_C = said_alone(model, pair)
    odds_C = np.exp(logits_C - logits_C.max())
    assert said.probability == pytest.approx(odds_C / odds_C.sum(), abs=1e-5)
  joined, apart = Predictor(model).texts([('he a old', 'river'), ('he a', 'old river')])
  assert joined.probability != apart.probability


def test_a_word_of_a_long_sentence_has_the_label_of_its_best_window():
  """Each window computed alone; the one in which the word is farthest from both ends is right."""
  model = labelled('words')
  words = tuple(np.random.default_rng(0).choice(WORDS[5:14], 100))
  [said, short] = Predictor(model).words([words, words[:20]])
  ids = model.tokenizer.encode([' '.join(words)])[0]
  assert len(ids) == len(said.label) == 100  # a token a word
  begins, room = [*range(0, 70, 15), 70], 30
  window_NxTxC = [
    np.asarray(
      model.network.apply(model.params, row_of(model, [ids[start : start + room]]))['tokens']
    )[0, 1:-1]
    for start in begins
  ]
  for place, label in enumerate(said.label):
    inside = [start for start in begins if start <= place < start + room]
    far = {
      start: min(
        1000 if start == 0 else place - start, 1000 if start == 70 else start + room - 1 - place
      )
      for start in inside
    }
    allowed = [
      window_NxTxC[begins.index(start)][place - start].argmax()
      for start in inside
      if far[start] >= min(max(far.values()), 100)
    ]
    assert label in allowed, place
  logits_TxC = np.asarray(model.network.apply(model.params, row_of(model, [ids[:20]]))['tokens'])[
    0, 1:-1
  ]
  assert short.label == tuple(logits_TxC.argmax(axis=1))


def test_a_word_without_a_token_has_no_label():
  [said] = Predictor(labelled('words')).words([('the', '\u200b', 'boat')])
  assert said.label[1] == -1 and min(said.label[0], said.label[2]) >= 0


@pytest.mark.parametrize(
  'text, words',
  [
    ('He lives in London, (UK).', 'He|lives|in|London|,|(|UK|)|.'),
    ("U.S.-led 1.5% don't", "U.S.-led|1.5|%|don't"),
    ('  two\tspaces\u00a0here ', 'two|spaces|here'),
    ('他住在 London。', '他|住|在|London|。'),
    ('Ångström “naïve”…', 'Ångström|“|naïve|”|…'),
    ('...', '.|.|.'),
    ('', ''),
  ],
)
def test_words_of_a_text_stand_where_they_are_said_to(text, words):
  assert '|'.join(text[start:end] for start, end in arriving.split_words(text)) == words


def framing(kind: str) -> library.Tokenizer:
  """A small tokenizer with the rule that a family of published models has."""
  names = ['<s>', '</s>', '[CLS]', '[SEP]', '[UNK]', 'a', 'b', 'old']
  rule = library.Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, '[UNK]'))
  rule.pre_tokenizer = pre_tokenizers.Whitespace()
  rule.add_special_tokens(names[:5])
  rule.post_processor = dict(
    bert=processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2)),
    roberta=processors.RobertaProcessing(('</s>', 1), ('<s>', 0)),
    llama=processors.TemplateProcessing(
      single='<s> $A', pair='<s> $A <s>:1 $B:1', special_tokens=[('<s>', 0)]
    ),
    t5=processors.TemplateProcessing(
      single='$A </s>', pair='$A </s> $B </s>', special_tokens=[('</s>', 1)]
    ),
    none=None,
  )[kind]
  return rule


@pytest.mark.parametrize('kind', ['bert', 'roberta', 'llama', 't5', 'none'])
def test_a_published_tokenizer_frames_as_the_library_does(kind):
  rule = framing(kind)
  frame = frames.own(Tokenizer(framing(kind)))
  again = library.Tokenizer.from_str(frames.framed_json(Tokenizer(framing(kind)), frame))
  ids = lambda text: rule.encode(text, add_special_tokens=False).ids
  for texts in (('old b',), ('a old', 'b'), ('a', 'b old a')):
    expected = rule.encode(*texts)
    token, types = frame.lay([np.array(ids(text)) for text in texts])
    assert token.tolist() == expected.ids == again.encode(*texts).ids
    if kind != 'llama':  # there a type says nothing: the model has none
      assert types.tolist() == expected.type_ids == again.encode(*texts).type_ids
  assert frame.size(2) == len(rule.encode('a', 'b').ids) - 2


# ---- the program


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A model of each kind, and inputs."""
  folder = tmp_path_factory.mktemp('models')
  for kind in ('text', 'pair', 'words'):
    loading.save(labelled(kind), folder / kind)
  loading.save(random_weights('bert'), folder / 'headless')
  loading.save(labelled()._replace(labels=None), folder / 'nameless')
  return folder


def predict(*arguments) -> list[dict]:
  answer = call('predict', *map(str, arguments), '--json')
  assert answer.code == 0, answer.err
  return [json.loads(line) for line in answer.out.splitlines()]


ROWS = [('the old boat', 'a river'), ('he paid, cash', 'fish'), ('a "bank"\nof old', 'fish')]


def written(folder, ending: str, names: tuple[str, ...]):
  """A file of ROWS under these columns, with one more column between them."""
  path = folder / f'rows{"".join(names)}{ending}'
  with path.open('w', newline='') as file:
    if ending == '.jsonl':
      file.writelines(json.dumps(dict(n=1) | dict(zip(names, row))) + '\n' for row in ROWS)
    elif ending == '.tsv':
      rows = [('n', *names), *((1, *row[: len(names)]) for row in ROWS[:2])]
      file.writelines('\t'.join(map(str, row)) + '\n' for row in rows)
    else:
      writer = csv.writer(file)
      writer.writerows([('n', *names), *((1, *row[: len(names)]) for row in ROWS)])
  return path


@pytest.mark.parametrize('ending', ['.csv', '.tsv', '.jsonl'])
@pytest.mark.parametrize(
  'kind, names, columns',
  [
    ('text', ('text',), ''),
    ('text', ('review',), 'text=review'),
    ('pair', ('sentence1', 'sentence2'), ''),
    ('pair', ('p', 'q'), 'text_a=p,text_b=q'),
  ],
)
def test_tables_say_what_the_model_says_of_their_cells(ending, kind, names, columns, folder):
  path = written(folder, ending, names)
  found = predict(f'--weights={folder / kind}', f'--input={path}', f'--columns={columns}')
  rows = [row[: len(names)] for row in (ROWS[:2] if ending == '.tsv' else ROWS)]
  keys = ('text',) if kind == 'text' else ('text_a', 'text_b')
  assert [tuple(line[key] for key in keys) for line in found] == rows
  for line, said in zip(found, Predictor(loading.load(folder / kind)).texts(rows)):
    assert (
      line['label']
      == NAMES[said.label]
      == max(line['probabilities'], key=line['probabilities'].get)
    )
    assert [*line['probabilities'].values()] == pytest.approx(said.probability, abs=1e-5)


def test_words_come_as_text_as_json_and_in_columns(folder):
  weights = f'--weights={folder / "words"}'
  sentences = [('The', 'old', 'boat', '.'), ('a', 'river')]
  (folder / 'in.txt').write_text('The old boat.\n\na river\n')
  (folder / 'in.jsonl').write_text(''.join(json.dumps(dict(words=s)) + '\n' for s in sentences))
  columns = '\n\n'.join('\n'.join(f'{word} X O' for word in words) for words in sentences)
  (folder / 'in.conll').write_text(columns + '\n')
  said = Predictor(loading.load(folder / 'words')).words(sentences)
  tags = [[TAGS[index] for index in one.label] for one in said]
  for name in ('in.jsonl', 'in.conll'):
    found = predict(weights, f'--input={folder / name}')
    assert [(tuple(line['words']), line['labels']) for line in found] == [*zip(sentences, tags)]
  texts = predict(weights, f'--input={folder / "in.txt"}')
  assert [line['text'] for line in texts] == ['The old boat.', 'a river']
  for line, row in zip(texts, tags):
    begin = [index for index, tag in enumerate(row) if tag != 'O']
    assert bool(line['entities']) == bool(begin)
    for each in line['entities']:
      assert line['text'][each['start'] : each['end']] == each['text']
      assert each['label'] in ('LOC', 'PER') and 0 < each['score'] <= 1


def test_lines_for_people_and_a_file(folder):
  (folder / 'long.txt').write_text('the boat\n \n' + 'old ' * 60 + '\n')
  out = folder / 'out.tsv'
  answer = call(
    'predict', f'--weights={folder / "text"}', f'--input={folder / "long.txt"}', f'--output={out}'
  )
  assert answer.code == 0 and answer.out == ''
  first, second = out.read_text().splitlines()
  label, text = first.split('\t')
  assert text == 'the boat' and label.split()[0] in NAMES and 0 < float(label.split()[1]) < 1
  assert '1 of 2 texts have more than 32 tokens' in answer.err
  assert 'predict: one blank line was left out' in answer.err


REFUSED = {
  'a model without a head': ('headless', 'in.txt', [], 3, 'no head for labels'),
  'labels without names': ('nameless', 'in.txt', [], 3, 'no names of its labels'),
  'no input': ('text', None, [], 2, '--input=FILE is missing'),
  'no such file': ('text', 'none.txt', [], 4, 'no such file'),
  'a text without a token': ('text', 'zero.txt', [], 4, 'line 2: the tokenizer'),
  'words for a classifier': ('text', 'zero.jsonl', [], 4, 'line 1: words'),
  'one text for pairs': ('pair', 'in.txt', [], 4, 'line 1: one text'),
  'no such column': ('text', 'rowsp.csv', ['--columns=text=q'], 4, "no column 'q'"),
  'not JSON': ('text', 'bad.jsonl', [], 4, 'line 1: not JSON'),
  'words that are none': ('words', 'bad2.jsonl', [], 4, 'line 1: '),
  'no room': ('pair', 'rowsa.jsonl', ['--max_length=4'], 4, 'no room for a pair'),
  'the input as output': ('text', 'in.txt', ['--output={folder}/in.txt'], 2, 'is the input'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_cannot_be_predicted_is_refused_by_name(name, folder):
  weights, source, more, code, words = REFUSED[name]
  (folder / 'in.txt').write_text('the boat\n')
  (folder / 'zero.txt').write_text('the boat\n\ufffd\ufffd\nold\n')
  (folder / 'zero.jsonl').write_text('{"words": ["a", "b"]}\n')
  (folder / 'rowsp.csv').write_text('p\nold\n')
  (folder / 'rowsa.jsonl').write_text('{"text_a": "a", "text_b": "b"}\n')
  (folder / 'bad.jsonl').write_text('{"text": \n')
  (folder / 'bad2.jsonl').write_text('{"words": ["a", ""]}\n')
  arguments = [argument.format(folder=folder) for argument in more]
  arguments += [f'--input={folder / source}'] if source else []
  answer = call('predict', f'--weights={folder / weights}', *arguments)
  assert answer.code == code and words in answer.err and 'Traceback' not in answer.err, answer.err
  assert len(answer.err.strip().splitlines()) == 1, answer.err
  assert ('the boat' in answer.out) == (name == 'a text without a token')
  assert (folder / 'in.txt').read_text() == 'the boat\n'


def test_a_line_comes_out_before_the_next_one_is_written(folder):
  command = [sys.executable, '-m', 'tools.predict', f'--weights={folder / "text"}']
  with subprocess.Popen(
    [*command, '--input=-', '--json'],
    cwd=runs.ROOT,
    env=runs.environment(),
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    for text in ('the old boat', 'fish', 'a river'):
      process.stdin.write(text + '\n')
      process.stdin.flush()
      assert json.loads(process.stdout.readline())['text'] == text
    process.stdin.close()
    assert process.wait(timeout=300) == 0
