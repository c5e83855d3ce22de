"""What sentence-transformers does with vectors and pairs, we do too."""

from collections import Counter
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_convert import WORDS
from test_embed import clustered, texts

from inference.mining import Rules, mine
from inference.precision import PRECISIONS, RANGED, convert, restore
from inference.rank import Ranker
from objectives import rank
from training import load

needs = "needs the extra parity: pip install -e '.[parity]'"
pytest.importorskip('sentence_transformers', reason=needs)
from sentence_transformers import CrossEncoder, util  # noqa: E402
from sentence_transformers.cross_encoder import losses  # noqa: E402
from sentence_transformers.util import hard_negatives, quantization  # noqa: E402


@pytest.mark.parametrize('precision', [name for name in PRECISIONS if name != 'float16'])
def test_vectors_in_few_bits_are_theirs(precision):
  for seed, (rows, D) in enumerate([(2, 3), (40, 8), (101, 17), (200, 32)]):
    vector_NxD = clustered(rows, D, seed)
    vector_NxD[:, 0] = 0  # a dimension without a range, and no sign
    range_2xD = np.stack([vector_NxD.min(axis=0), vector_NxD.max(axis=0)])
    wanted = quantization.quantize_embeddings(vector_NxD, precision)
    stored = convert(vector_NxD, precision, range_2xD)
    np.testing.assert_array_equal(stored, wanted)
    assert stored.dtype == wanted.dtype
    if precision in RANGED:
      back_NxD = quantization._dequantize_embeddings(wanted, precision, range_2xD)
      np.testing.assert_allclose(restore(stored, precision, D, range_2xD), back_NxD, atol=1e-6)


class Fixed:
  """What mine_hard_negatives asks of a model, with vectors that are given."""

  device = 'cpu'
  model_card_data = None

  def __init__(self, vectors: dict[str, np.ndarray]):
    self._vectors = vectors
    self.similarity = lambda u, v: util.cos_sim(u, v)
    self.similarity_pairwise = lambda u, v: util.pairwise_cos_sim(u, v)

  def encode(self, texts, **_):
    return np.stack([self._vectors[text] for text in texts])

  encode_query = encode_document = encode


class Table(dict):
  """What mine_hard_negatives asks of a datasets.Dataset, which is not installed."""

  from_dict = classmethod(lambda cls, columns: cls(columns))
  column_names = property(lambda self: list(self))
  to_pandas = groupby = count = lambda self, *_: self
  to_dict = lambda self: dict(positive=Counter(self['anchor']))
  __len__ = lambda self: len(next(iter(self.values())))


RULES = [
  {},
  dict(num_negatives=1, range_min=2),
  dict(relative_margin=0.05),
  dict(absolute_margin=0.1, num_negatives=2),
  dict(relative_margin=0.2, absolute_margin=0.05, range_min=1, num_negatives=2),
  dict(max_score=0.5, min_score=0.1, num_negatives=2),
  dict(range_max=6, num_negatives=4),
]


@pytest.mark.parametrize('number', range(len(RULES)))
def test_negatives_are_those_of_mine_hard_negatives(number, monkeypatch):
  datasets = types.ModuleType('datasets')
  datasets.Dataset = Table
  monkeypatch.setitem(sys.modules, 'datasets', datasets)
  monkeypatch.setattr(hard_negatives, 'is_datasets_available', lambda: True)
  rules, random = RULES[number], np.random.default_rng(number)
  corpus = [f'text {index}' for index in range(40)]
  anchors = [f'anchor {index}' for index in range(12)]
  vector_NxD, own = clustered(40, 6, number), random.integers(0, 40, 15)
  vectors = dict(zip(corpus, vector_NxD))
  asked = [*range(12), 0, 3, 3]  # some anchors have several positives
  for anchor, positive in zip(asked, own):
    vectors[anchors[anchor]] = vector_NxD[positive] + 0.5 * clustered(1, 6, anchor)[0]
  pairs = dict.fromkeys((anchors[anchor], corpus[place]) for anchor, place in zip(asked, own))
  columns = dict(zip(('anchor', 'positive'), map(list, zip(*pairs))))
  theirs = util.mine_hard_negatives(
    Table(columns),
    Fixed(vectors),
    corpus=corpus,
    output_format='n-tuple',
    verbose=False,
    **rules,
  )
  positives: dict[str, list[int]] = {}
  for anchor, positive in pairs:
    positives.setdefault(anchor, []).append(corpus.index(positive))
  anchor_AxD = np.stack([vectors[anchor] for anchor in positives])
  mined = mine(anchor_AxD, vector_NxD, list(positives.values()), Rules(**rules))
  ours = {list(positives)[index]: found for index, found in mined.negatives.items()}
  names = [name for name in theirs if name.startswith('negative')]
  wanted = {
    anchor: [corpus.index(theirs[name][row]) for name in names]
    for row, anchor in enumerate(theirs['anchor'])
  }
  assert ours == wanted and wanted


@pytest.mark.parametrize('seed', range(20))
def test_lists_have_the_value_and_gradient_of_list_net(seed):
  torch = pytest.importorskip('torch', reason=needs)
  rng = np.random.default_rng(seed)
  counts = rng.integers(2, 6, 5)
  logit_N = rng.normal(0, 4, counts.sum()).astype(np.float32)
  score_N = rng.integers(0, 4, counts.sum()).astype(np.float32)
  logits = torch.tensor(logit_N, requires_grad=True)

  class Given(torch.nn.Module):  # their loss reads logits from a model, in the order of the texts
    num_labels, device = 1, 'cpu'

    def preprocess(self, pairs, **_):
      return {}

    def forward(self, features):
      return dict(scores=logits)

  loss = losses.ListNetLoss(Given(), mini_batch_size=-1)
  parts = np.split(score_N, np.cumsum(counts)[:-1])
  queries, docs = ['q'] * len(counts), [['d'] * count for count in counts]
  theirs = loss([queries, docs], [torch.tensor(part) for part in parts])
  theirs.backward()
  query_1xS = np.repeat(np.arange(len(counts)), counts)[None]
  first_1xS = (np.diff(query_1xS, prepend=-1) != 0).astype(np.float32)

  def ours(logit_N):
    term = rank.list_net(logit_N[None], score_N[None], query_1xS, first_1xS)['loss']
    return term.total / term.weight

  value, gradient_N = jax.value_and_grad(ours)(jnp.asarray(logit_N))
  np.testing.assert_allclose(value, theirs.item(), rtol=1e-6)
  np.testing.assert_allclose(gradient_N, logits.grad, atol=1e-6)


def test_a_cross_encoder_ranks_as_theirs(tmp_path):
  transformers = pytest.importorskip('transformers', reason=needs)
  (tmp_path / 'vocab.txt').write_text('\n'.join(WORDS))
  config = transformers.BertConfig(
    vocab_size=len(WORDS),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    max_position_embeddings=40,
    initializer_range=0.3,
    num_labels=1,
  )
  transformers.BertForSequenceClassification(config).eval().save_pretrained(tmp_path)
  transformers.BertTokenizer(str(tmp_path / 'vocab.txt')).save_pretrained(tmp_path)
  theirs = CrossEncoder(str(tmp_path), device='cpu', max_length=40)
  lines = texts(30, 12, seed=3)
  lines = [line for line in lines if line]
  for query in ('the old boat', 'a river'):
    wanted = theirs.predict([(query, line) for line in lines], show_progress_bar=False)
    ranked = Ranker(load.load(tmp_path))(query, lines)
    np.testing.assert_allclose(
      [one.score for one in ranked], wanted[[one.index for one in ranked]], atol=1e-5
    )
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
