"""Fine-tuning changes the weights as the Trainer of transformers does: same start, batches, recipe.

Without dropout both are deterministic, so no spread of seeds can hide a difference: of the loss, of
padding and packing, labels, clipping, Adam, weight decay or schedule.
"""

import json

import numpy as np
import pytest
import runs
from test_predict_runs import tune

from data.rows.batches import Order
from data.tasks import open_task
from interop.export import export
from training import load

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
pytest.importorskip('transformers', reason="needs the extra parity: pip install -e '.[parity]'")
pytest.importorskip('accelerate', reason="needs the extra parity: pip install -e '.[parity]'")

STEPS, ROWS, T, STRIDE, RATE = 30, 8, 32, 8, 3e-3
FIELDS = {
  'batch_size': ROWS,
  'data.sequence_length': T,
  'data.stride': STRIDE,
  'model.dropout': 0.0,
  'model.attention_dropout': 0.0,
  'optimizer.learning_rate': RATE,
  'optimizer.schedule': 'cosine',
  'optimizer.weight_decay': 0.1,
  'optimizer.clip': 0.5,
}
CONFIGS = dict(text='classify', pair='classify', number='classify', words='tag', question='answer')


def text_of(draw, most: int) -> str:
  return ' '.join(draw.choice(runs.WORDS[:15], draw.integers(2, most)))


def write(folder, kind: str) -> str:
  """Ragged files of a task; returns its `config.data.task`."""
  draw = np.random.default_rng(0)
  for split, count in dict(train=50, validation=6, test=24).items():
    lines, articles = [], []
    for number in range(count):
      text = text_of(draw, 36)
      if kind == 'words':
        words = text.split()
        lines.append(''.join(f'{word} {"B-X" if word == "he" else "O"}\n' for word in words))
      elif kind == 'question':
        word = text.split()[-1]
        right = dict(text=word, answer_start=text.rindex(word))
        asked = dict(id=str(number), question=f'the {word}', answers=[right])
        articles.append(dict(title=str(number), paragraphs=[dict(context=text, qas=[asked])]))
      else:
        right = 'fish' if 'he' in text.split() else 'boat'
        row = dict(text_a=text, text_b=text_of(draw, 9)) if kind == 'pair' else dict(text=text)
        lines.append(json.dumps(row | dict(label=len(text) / 7 if kind == 'number' else right)))
    ending = dict(words='conll', question='json').get(kind, 'jsonl')
    content = json.dumps(dict(data=articles)) if kind == 'question' else '\n'.join(lines) + '\n'
    (folder / f'{split}.{ending}').write_text(content)
  return f'{dict(words="conll", question="squad").get(kind, "jsonl")}:{folder}'


def trained_there(weights, task: str):
  """(their Trainer after the same updates on the same batches, what the peer is)."""
  from tools.bench.peer_finetune import Peer

  peer = Peer(str(weights), open_task.load_named(task, ''), T, STRIDE)
  if peer.task.kind == 'question':
    peer.model.forward = without_padding(peer.model)
  train = peer.features('train')
  order = Order(len(train), shuffled=True, seed=0).ids(np.arange(STEPS * ROWS))
  trainer = peer.trainer(
    [train[number] for number in order],
    output_dir=str(weights / 'trainer'),
    train_sampling_strategy='sequential',
    max_steps=STEPS,
    per_device_train_batch_size=ROWS,
    learning_rate=RATE,
    lr_scheduler_type='cosine',
    warmup_steps=3,
    weight_decay=0.1,
    max_grad_norm=0.5,
    adam_epsilon=1e-6,
  )
  trainer.train()
  return peer, trainer


def without_padding(model):
  """Their model of answers, its padding no place of an answer.

  In transformers, and in BERT's run_squad.py, padding competes with the tokens of the text.
  """
  forward = model.forward

  # The Trainer hands over what the signature names.
  def masked(input_ids, attention_mask, token_type_ids, start_positions=None, end_positions=None):
    said = forward(input_ids, attention_mask, token_type_ids)
    if start_positions is not None:
      ends = (said.start_logits, start_positions), (said.end_logits, end_positions)
      nats = [
        torch.nn.functional.cross_entropy(logits.masked_fill(attention_mask == 0, -1e9), at)
        for logits, at in ends
      ]
      said['loss'] = sum(nats) / 2
    return said

  return masked


@pytest.mark.slow
@pytest.mark.parametrize('kind', CONFIGS)
def test_the_same_updates_end_at_the_same_outputs(kind, tmp_path):
  for folder in ('data', 'start', 'end'):
    (tmp_path / folder).mkdir()
  task = write(tmp_path / 'data', kind)
  still = {'steps': 1, 'optimizer.learning_rate': 1e-20}
  start = tune(tmp_path / 'start', CONFIGS[kind], task, **FIELDS | still)
  export(load.load(start), start, tmp_path / 'theirs')
  moved = {'init_from': start, 'steps': STEPS, 'optimizer.warmup_steps': 3}
  run = tune(tmp_path / 'end', CONFIGS[kind], task, **FIELDS | moved)
  export(load.load(run), run, tmp_path / 'ours')
  peer, trainer = trained_there(tmp_path / 'theirs', task)
  before = logits(peer, tmp_path / 'theirs')
  ours, theirs = logits(peer, tmp_path / 'ours'), logits(peer, None)
  assert np.abs(theirs - before).max() > 0.3  # it learned something
  np.testing.assert_allclose(ours, theirs, atol=5e-3)


def logits(peer, folder) -> np.ndarray:
  """Of the test split, one row at a time; `folder`: of other weights than the peer's."""
  model = type(peer.model).from_pretrained(folder) if folder else peer.model
  found = []
  for row in peer.features('test'):
    fed = {name: torch.tensor([row[name]]) for name in peer.tokenizer.model_input_names}
    with torch.no_grad():
      said = model.eval()(**fed)
    each = (said.logits,) if 'logits' in said else (said.start_logits, said.end_logits)
    found += [one.numpy().ravel() for one in each]
  return np.concatenate(found)
