"""Answers to questions: windows, characters, and SQuAD's own measures."""

import collections
import json
import re
import string

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from data.errors import DataError
from data.tasks import open_task, question_rows
from data.tasks.squad import Answers, Question
from data.tokens import tokenizer as tokenizers
from evaluation import answers
from objectives import answer

WORDS = (
  '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash boat ##s . , old who'.split()
)


# The measures of the official evaluate-v2.0.py, as published.
def normalize_answer(s):
  def remove_articles(text):
    regex = re.compile(r'\b(a|an|the)\b', re.UNICODE)
    return re.sub(regex, ' ', text)

  def remove_punc(text):
    exclude = set(string.punctuation)
    return ''.join(ch for ch in text if ch not in exclude)

  return ' '.join(remove_articles(remove_punc(s.lower())).split())


def official_f1(a_gold, a_pred):
  gold_toks = normalize_answer(a_gold).split() if a_gold else []
  pred_toks = normalize_answer(a_pred).split() if a_pred else []
  common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
  num_same = sum(common.values())
  if len(gold_toks) == 0 or len(pred_toks) == 0:
    return int(gold_toks == pred_toks)
  if num_same == 0:
    return 0
  precision = 1.0 * num_same / len(pred_toks)
  recall = 1.0 * num_same / len(gold_toks)
  return (2 * precision * recall) / (precision + recall)


@pytest.mark.parametrize('seed', range(5))
def test_the_measures_are_those_of_the_official_script(seed):
  random = np.random.default_rng(seed)
  pieces = ['The', 'a', 'river', 'Bank', 'bank', '1,000', "he's", '-', 'Ünder', '(old)', '']
  text = lambda: ' '.join(random.choice(pieces, random.integers(0, 5)))
  golds = [tuple(text() for _ in range(random.integers(0, 4))) for _ in range(200)]
  said = [text() if random.random() < 0.7 or not gold else gold[0] for gold in golds]
  found = answers.score(golds, said)
  rows = []
  for gold, one in zip(golds, said):
    known = [each for each in gold if normalize_answer(each)] or ['']
    rows.append(
      (
        bool(gold),
        max(int(normalize_answer(each) == normalize_answer(one)) for each in known),
        max(official_f1(each, one) for each in known),
      )
    )
  table = np.array(rows, float)
  assert found['exact_match'] == pytest.approx(table[:, 1].mean())
  assert found['f1'] == pytest.approx(table[:, 2].mean())
  has = table[:, 0] > 0
  assert found['has_answer_f1'] == pytest.approx(table[has, 2].mean())
  assert found['no_answer_exact_match'] == pytest.approx(table[~has, 1].mean())


@pytest.mark.parametrize('seed', range(20))
def test_the_threshold_is_the_best_there_is(seed):
  random = np.random.default_rng(seed)
  leads = random.normal(size=30).round(1)  # with ties
  found = [
    answers.Found([answers.Candidate(0.0, 0, 1)] if i else [], float(lead))
    for i, lead in enumerate(leads)
  ]
  f1_of = [
    (0.0 if none else float(random.random()), float(none)) for none in random.random(30) < 0.5
  ]

  def total(threshold):
    said = [none if not each.best or each.lead > threshold else one
            for each, (one, none) in zip(found, f1_of)]  # fmt: skip
    return sum(said)

  chosen = answers.choose_threshold(found, f1_of)
  assert total(chosen) >= max(total(each) for each in [*leads, -99]) - 1e-9


def questions() -> list[Question]:
  random = np.random.default_rng(0)
  found = []
  for number in range(12):
    words = [str(word) for word in random.choice(['the', 'bank', 'boats', 'Old', 'cash,'], 40)]
    words[10 + number] = 'river'
    context = '  '.join(words)
    label = Answers(('river',), context.index('river')) if number % 4 else Answers((), -1)
    found.append(Question(('Who paid?', context), label, str(number), 'one'))
  return found


@pytest.fixture(scope='module')
def tokenizer():
  return tokenizers.from_vocabulary(WORDS, lowercase=True)


def test_windows_overlap_and_hold_their_answers(tokenizer):
  asked = questions()
  windows, framed = question_rows.frame(asked, tokenizer, max_length=24, stride=6)
  covered = [set() for _ in asked]
  with_answer = collections.Counter()
  for window, (question, part), length in zip(windows, framed.parts, framed.lengths()):
    assert length <= 24 and len(part) == len(window.span_Tx2)
    assert window.first == len(question) + 2
    ids = [tokenizer.bos, *question, tokenizer.eos, *part, tokenizer.eos]
    covered[window.owner].update(map(tuple, window.span_Tx2.tolist()))
    first, last = window.label
    if (first, last) == (0, 0):
      continue
    with_answer[window.owner] += 1
    start, stop = window.span_Tx2[first - window.first, 0], window.span_Tx2[last - window.first, 1]
    assert window.texts[1][start:stop] == 'river'
    assert [tokenizer.token(index) for index in ids[first : last + 1]] == ['river']
  for number, (question, seen) in enumerate(zip(asked, covered)):
    _, spans = tokenizer.encode_with_spans([question.texts[1]])[0]
    assert seen == set(map(tuple, spans.tolist()))
    assert bool(with_answer[number]) == bool(number % 4)


def test_the_loss_is_the_cross_entropy_over_the_tokens_of_the_window():
  random = np.random.default_rng(0)
  segment = np.array([[1, 1, 1, 1, 2, 2, 2, 0]])
  logits = random.normal(size=(1, 8, 2)).astype(np.float32)
  label = jnp.array([[[2, 3], [4, 4], [0, 0]]])
  weight = jnp.array([[1.0, 1.0, 0.0]])
  found = answer.span(jnp.asarray(logits), jnp.asarray(segment), label, weight)
  expected = 0.0
  for low, high, ends in ((0, 4, (2, 3)), (4, 7, (4, 4))):
    for end in (0, 1):
      own = logits[0, low:high, end]
      expected += (np.log(np.exp(own).sum()) - logits[0, ends[end], end]) / 2
  assert float(found['loss'].total) == pytest.approx(expected, rel=1e-5)
  assert float(found['loss'].weight) == 2
  slope = jax.grad(lambda x: answer.span(x, jnp.asarray(segment), label, weight)['loss'].total)(
    jnp.asarray(logits)
  )
  assert np.isfinite(slope).all() and (np.asarray(slope)[0, 7] == 0).all()


def test_the_best_answers_are_those_of_a_search_through_all():
  random = np.random.default_rng(0)
  span = np.stack([np.arange(12) * 2, np.arange(12) * 2 + 1], axis=1)
  window = question_rows.Window(0, ('q', 'c' * 30), None, 3, span)
  start, end = random.normal(size=(2, 16))
  found = answers.candidates(window, start, end, count=20, longest=4)
  every = sorted(
    (start[3 + i] + end[3 + j], 2 * i, 2 * j + 1)
    for i in range(12)
    for j in range(i, min(i + 4, 12))
  )[::-1]
  assert [tuple(each) for each in found] == [pytest.approx(each) for each in every[:20]]
  joined = answers.join([(found, 1.0), (found[:3], -2.0)], 5)
  assert joined.null == -2.0 and len(joined.best) == 5 and joined.best[0] == found[0]
  assert answers.text_of(joined, 'c' * 30, joined.lead - 1) == ''
  assert answers.text_of(joined, 'c' * 30, joined.lead) != ''


def data(task: str):
  return ml_collections.ConfigDict(
    dict(task=task, task_files='', columns='', labels='auto', validation_share=0.3)
  )


def article(title: str, text: str, start: int) -> dict:
  qas = [dict(id=f'{title}1', question='Who?', answers=[dict(text=text, answer_start=start)])]
  qas.append(dict(id=f'{title}2', question='What?', answers=[], is_impossible=True))
  return dict(title=title, paragraphs=[dict(context='He paid the bank.', qas=qas)])


def test_squad_is_read_and_set_aside_by_article(tmp_path):
  path = tmp_path / 'a.json'
  articles = [article(str(number), 'the bank', 8) for number in range(10)]
  path.write_text(json.dumps(dict(version='v2.0', data=articles)))
  task = open_task.load(data(f'squad:{path}'))
  assert {split: len(rows) for split, rows in task.splits.items()} == dict(train=14, validation=6)
  titles = [{row.title for row in task.splits[split]} for split in ('train', 'validation')]
  assert not titles[0] & titles[1]
  assert task.splits['train'][0].label == (('the bank',), 8)
  assert task.splits['train'][1].label == ((), -1)


def test_an_answer_that_is_a_little_off_is_found(tmp_path):
  path = tmp_path / 'a.json'
  articles = [article(str(number), 'the bank', 7 + number % 3) for number in range(4)]
  path.write_text(json.dumps(dict(data=articles)))
  task = open_task.load(data(f'squad:{path}'))
  assert {row.label.start for row in task.splits['train'] if row.label.texts} == {8}


@pytest.mark.parametrize(
  'content, message',
  [
    ('{', 'is no JSON'),
    ('[]', 'a JSON object with a list "data"'),
    (json.dumps(dict(data=[dict(title='a')])), "article 0: .*KeyError: 'paragraphs'"),
    (json.dumps(dict(data=[article('x', 'a bank', 7)])), "question 'x1': its answer 'a bank' does"),
    (json.dumps(dict(data=[])), 'holds no questions'),
  ],
)
def test_what_is_wrong_in_squad_is_said(content, message, tmp_path):
  path = tmp_path / 'a.json'
  path.write_text(content)
  with pytest.raises(DataError, match=message):
    open_task.load(data(f'squad:{path}'))
