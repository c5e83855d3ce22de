"""Models that choose or answer, as transformers has them: in, used, and out again."""

import json

from in_process import call
import numpy as np
import pytest
from test_convert import WORDS
from test_parity import _BERT, _DISTILBERT, _MODERN

from data.tokens import tokenizer as tokenizers
from inference.predict import Predictor
from interop.export import export
from runtime.errors import WeightsError
from training import load

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
transformers = pytest.importorskip(
  'transformers', reason="needs the extra parity: pip install -e '.[parity]'"
)

QUESTIONS = [
  ('the old boat', 'he paid', 'a river', 'cash'),
  ('fish', 'the bank of a river', 'he'),
  ('the bank', *['old ' * count + 'boat' for count in range(1, 6)]),
]
_LONG = dict(max_position_embeddings=40)
# Family -> (start of its classes' names, options of its config).
FAMILIES = {
  'bert': ('Bert', _BERT | _LONG),
  'roberta': ('Roberta', _BERT | dict(type_vocab_size=1, max_position_embeddings=42)),
  'distilbert': ('DistilBert', _DISTILBERT | _LONG),
  'albert': ('Albert', _BERT | _LONG | dict(embedding_size=16)),
  'modernbert': ('ModernBert', _MODERN | _LONG | dict(classifier_pooling='cls')),
  'modernbert-mean': ('ModernBert', _MODERN | _LONG | dict(classifier_pooling='mean')),
}


def random_model(name: str, suffix: str, folder, **more):
  """A random model of a stock class, saved beside a tokenizer; of RoBERTa padding is id 1."""
  start, options = FAMILIES[name]
  torch.manual_seed(0)
  config = getattr(transformers, f'{start}Config')(**options | more)
  model = getattr(transformers, f'{start}{suffix}')(config).eval()
  for parameter in model.parameters():  # biases and norms, too
    parameter.data += 0.1 * torch.randn_like(parameter)
  model.save_pretrained(folder)
  words = [WORDS[1], WORDS[0], *WORDS[2:]]
  tokenizers.from_vocabulary(words, lowercase=True).save(folder / 'tokenizer.json')
  settings = dict(tokenizer_class='PreTrainedTokenizerFast')  # not the one of the family
  (folder / 'tokenizer_config.json').write_text(json.dumps(settings))
  return model


def their_shares(model, tokenizer, question: tuple[str, ...]) -> np.ndarray:
  """The probability of each answer, from their tokenizer and their class."""
  context, *answers = question
  fed = tokenizer([context] * len(answers), answers, padding=True, return_tensors='pt')
  with torch.no_grad():
    logits = model(**{name: x[None] for name, x in fed.items()}).logits
  return logits[0].softmax(-1).numpy()


@pytest.mark.parametrize('name', FAMILIES)
def test_a_model_that_chooses_comes_in_says_the_same_and_goes_out(name, tmp_path):
  theirs = random_model(name, 'ForMultipleChoice', tmp_path / 'theirs')
  mine = load.load(tmp_path / 'theirs')
  assert (mine.labels.kind, mine.labels.labels, mine.labels.classes) == ('choices', 'choice', ())
  load.save(mine, tmp_path / 'mine')
  export(load.load(tmp_path / 'mine'), tmp_path / 'mine', tmp_path / 'out')
  config = json.loads((tmp_path / 'out/config.json').read_text())
  assert config['architectures'] == [type(theirs).__name__] and 'id2label' not in config
  back = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path / 'out').eval()
  after = back.state_dict()
  for key, x in theirs.state_dict().items():
    assert torch.equal(x, after[key]), key
  tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / 'out')
  for model in (mine, load.load(tmp_path / 'out')):
    said = Predictor(model).choices(QUESTIONS)
    for question, one in zip(QUESTIONS, said, strict=True):
      expected = their_shares(back, tokenizer, question)
      np.testing.assert_allclose(one.probability, expected, atol=1e-5)
      assert one.label == expected.argmax()


@pytest.mark.parametrize('name', [name for name in FAMILIES if name != 'modernbert-mean'])
def test_an_imported_model_answers_as_its_own_class_does(name, tmp_path):
  theirs = random_model(name, 'ForQuestionAnswering', tmp_path / 'theirs')
  asked = [('the boat', 'he paid cash into a bank of the old river'), ('fish', 'a boat , old .')]
  lines = [json.dumps(dict(zip(('question', 'context'), pair))) + '\n' for pair in asked]
  (tmp_path / 'in.jsonl').write_text(''.join(lines))
  load.save(load.load(tmp_path / 'theirs'), tmp_path / 'mine')
  tokenizer = load.load(tmp_path / 'theirs').tokenizer
  for folder in ('theirs', 'mine'):
    answer = call(
      'predict', f'--weights={tmp_path / folder}', f'--input={tmp_path}/in.jsonl', '--json'
    )
    assert answer.code == 0, answer.err
    found = [json.loads(line) for line in answer.out.splitlines()]
    for line, (question, context) in zip(found, asked, strict=True):
      begin = [tokenizer.bos, *tokenizer.encode([question])[0].tolist(), tokenizer.eos]
      ids = tokenizer.encode([context])[0].tolist()
      fed = dict(input_ids=torch.tensor([[*begin, *ids, tokenizer.eos]]))
      if name in ('bert', 'albert'):
        fed['token_type_ids'] = torch.tensor([[0] * len(begin) + [1] * (len(ids) + 1)])
      with torch.no_grad():
        said = theirs(**fed)
      start, end = (
        logits[0, len(begin) : len(begin) + len(ids)]
        for logits in (said.start_logits, said.end_logits)
      )
      pairs = [(a, b) for a in range(len(ids)) for b in range(a, len(ids))]
      first, last = max(pairs, key=lambda pair: float(start[pair[0]] + end[pair[1]]))
      words = context.split()  # each is a token
      assert line['answer'] == ' '.join(words[first : last + 1])
      assert context[line['start'] : line['end']] == line['answer']


def test_what_stands_between_question_and_context_moves_no_answer(tmp_path):
  """RoBERTa's own rule puts two tokens between two texts, so windows begin a token later."""
  from tokenizers import Tokenizer, processors

  theirs = random_model('roberta', 'ForQuestionAnswering', tmp_path / 'theirs')
  path = tmp_path / 'theirs/tokenizer.json'
  rule = Tokenizer.from_file(str(path))
  named = {token: rule.token_to_id(token) for token in ('[CLS]', '[SEP]')}
  rule.post_processor = processors.RobertaProcessing(
    ('[SEP]', named['[SEP]']), ('[CLS]', named['[CLS]']), trim_offsets=False, add_prefix_space=False
  )
  rule.save(str(path))
  words = 'he paid cash into a bank of the old river'.split() * 8  # in windows of 40 tokens
  line = dict(question='the boat', context=' '.join(words))
  (tmp_path / 'in.jsonl').write_text(json.dumps(line) + '\n')
  answer = call('predict', f'--weights={tmp_path}/theirs', f'--input={tmp_path}/in.jsonl', '--json')
  assert answer.code == 0, answer.err
  found = json.loads(answer.out)
  # every window, as their tokenizer and their class read it
  ids = rule.encode(line['question'], line['context'])
  question = len(rule.encode(line['question'], add_special_tokens=False).ids)
  room = 40 - question - 4
  step = room - min(128, room // 2)
  head, tail = ids.ids[: question + 3], ids.ids[question + 3 : -1]
  best = {}
  for first in range(0, len(tail) - room + step, step):
    part = tail[first : first + room]
    with torch.no_grad():
      said = theirs(torch.tensor([[*head, *part, named['[SEP]']]]))
    start, end = said.start_logits[0, len(head) :], said.end_logits[0, len(head) :]
    for a in range(len(part)):
      for b in range(a, min(a + 30, len(part))):
        score = float(start[a] + end[b])
        best[first + a, first + b] = max(score, best.get((first + a, first + b), -1e9))
  first, last = max(best, key=best.get)
  assert found['answer'] == ' '.join(words[first : last + 1])


def test_a_generator_that_chooses_is_refused_with_the_reason(tmp_path):
  from test_convert import random_weights

  from inference.labels import Labels

  mine = random_weights('gpt2-sequence')
  mine = mine._replace(labels=Labels('choices', 'choice', (), 'last', 32, True))
  with pytest.raises(WeightsError, match='gpt2: it has no class that chooses among answers'):
    export(mine, tmp_path, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()
