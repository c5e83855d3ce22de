"""Scores of texts: held to their definitions, one token and one row at a time."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from test_convert import WORDS

from data.tokens.tokenizer import WORDPIECE_SPECIALS, from_vocabulary
from evaluation.errors import TaskError
from evaluation.likelihood import Scorer, choose, kinds_of, summarize
from evaluation.validation import Part, lost_nats, make_evaluator
from objectives.corrupt import Masking
from objectives.mix import make_objective
from objectives.term import Setup
from training.frozen import vocabulary_of

# float32 logits of another batch shape: their sums are in another order.
CLOSE = dict(rtol=0, atol=2e-5)
CELLS = dict(
  causal=('gpt2_small', 'causal', 'clm'),
  prefix=('gpt2_small', 'prefix', 'clm'),
  pll=('bert_base', 'bidirectional', 'mlm'),
  pll_word=('bert_base', 'bidirectional', 'mlm'),
  mntp=('bert_base', 'bidirectional', 'mlm'),
)
PIECES = ['un', '##believ', '##able', 'cat', '##s', 'run', 'the', '.']
TEXTS = [
  'the unbelievable cats run .',
  'cats',
  'the cat',
  'the the the the the the cats run the unbelievable cat .',
  'run unbelievable',
  '',
]


@pytest.fixture(scope='module')
def tokenizer():
  return from_vocabulary([*WORDPIECE_SPECIALS, *PIECES], lowercase=True)


@pytest.fixture(scope='module')
def models(tokenizer):
  """{kind: (network, params)}"""
  return {
    kind: small.network(config, mask=mask, packed=False, heads=(head,), vocab_size=tokenizer.size)
    for kind, (config, mask, head) in CELLS.items()
  }


def scorer(models, tokenizer, kind, **changes):
  network, params = models[kind]
  return Scorer(
    network.apply,
    params,
    tokenizer,
    **dict(kind=kind, mask=CELLS[kind][1], max_length=64) | changes,
  )


def log_probabilities(models, kind, token_T, position, prefix=0) -> np.ndarray:
  """log p over the vocabulary at one position of one row, with nothing beside it."""
  network, params = models[kind]
  place_1xT = np.arange(24)[None]  # one shape, one program
  valid_1xT = place_1xT < len(token_T)
  token_1xT = np.zeros((1, 24), np.int32)
  token_1xT[valid_1xT] = token_T
  batch = small.batch(token_1xT, valid_1xT) | dict(
    mlm_position=jnp.full((1, 1), position), prefix=place_1xT < prefix
  )
  hidden_BxPxE, table_VxE, bias_V = network.apply(params, batch)[CELLS[kind][2]]
  row_E = hidden_BxPxE[0, position if CELLS[kind][2] == 'clm' else 0]
  logits_V = table_VxE @ row_E + (0 if bias_V is None else bias_V)
  return np.asarray(jax.nn.log_softmax(logits_V), np.float64)


def by_hand(models, tokenizer, kind, ids, read=0) -> np.ndarray:
  row_T = np.array([tokenizer.bos, *ids, tokenizer.eos])
  found = []
  for t in range(1 + read, 1 + len(ids)):
    if CELLS[kind][2] == 'clm':
      log_p_V = log_probabilities(
        models, kind, row_T[:t], t - 1, 1 + read if kind == 'prefix' else 0
      )
    else:
      shown_T = row_T.copy()
      shown_T[t] = tokenizer.mask
      later = t + 1
      while kind == 'pll_word' and tokenizer.token(row_T[later]).startswith('##'):
        shown_T[later] = tokenizer.mask
        later += 1
      log_p_V = log_probabilities(models, kind, shown_T, t - 1 if kind == 'mntp' else t)
    found.append(-log_p_V[row_T[t]])
  return np.array(found)


@pytest.mark.parametrize('kind', CELLS)
def test_each_token_has_the_nats_of_its_definition(models, tokenizer, kind):
  ids = tokenizer.encode(TEXTS)
  assert max(map(len, ids)) > 2 * min(len(text) for text in ids if len(text))
  found = scorer(models, tokenizer, kind)(ids)
  assert [len(x) for x in found] == [len(x) for x in ids]
  for text, nats in zip(ids, found):
    np.testing.assert_allclose(nats, by_hand(models, tokenizer, kind, text), **CLOSE)


@pytest.mark.parametrize('kind', CELLS)
def test_a_beginning_that_is_given_is_seen_and_not_scored(models, tokenizer, kind):
  ids = tokenizer.encode(TEXTS[:4])
  read = [3, 1, 0, 8]
  assert len(ids[1]) == 2  # of which one is left
  for text, skipped, nats in zip(ids, read, scorer(models, tokenizer, kind)(ids, read)):
    np.testing.assert_allclose(nats, by_hand(models, tokenizer, kind, text, skipped), **CLOSE)


def test_a_prefix_is_read_from_both_sides(models, tokenizer):
  ids = tokenizer.encode(TEXTS[:1])
  network, params = models['prefix']
  [two_sided], [one_sided] = (
    Scorer(network.apply, params, tokenizer, kind=kind, mask='prefix', max_length=64)(ids, [4])
    for kind in ('prefix', 'causal')
  )
  assert np.abs(two_sided - one_sided).max() > 0.01


def test_the_kinds_of_pseudo_scores_differ_where_they_should(models, tokenizer):
  """Within a word that has several pieces, and nowhere else."""
  [ids] = tokenizer.encode(TEXTS[:1])
  alone, word = (
    scorer(models, tokenizer, kind, mask='bidirectional')([ids])[0] for kind in ('pll', 'pll_word')
  )
  assert [tokenizer.token(i) for i in ids] == [
    'the',
    'un',
    '##believ',
    '##able',
    'cat',
    '##s',
    'run',
    '.',
  ]
  # something of the word is still to come
  later = np.array([False, True, True, False, True, False, False, False])
  np.testing.assert_allclose(alone[~later], word[~later], **CLOSE)
  assert (np.abs(alone[later] - word[later]) > 1e-3).all()


def test_probabilities_of_all_strings_sum_to_one(models, tokenizer):
  """Over every id, special ones too."""
  strings = [
    np.array(string, np.int32) for string in itertools.product(range(tokenizer.size), repeat=3)
  ]
  nats = scorer(models, tokenizer, 'causal')(strings)
  assert math.isclose(math.fsum(math.exp(-text.sum()) for text in nats), 1.0, abs_tol=1e-4)
  assert np.std([text.sum() for text in nats]) > 0.1


def test_no_pseudo_likelihood_is_a_probability_here(models, tokenizer):
  """What the label is for: the same sum over a masked model's scores is far from one."""
  strings = [
    np.array(string, np.int32) for string in itertools.product(range(tokenizer.size), repeat=2)
  ]
  total = math.fsum(math.exp(-text.sum()) for text in scorer(models, tokenizer, 'pll')(strings))
  assert abs(total - 1) > 0.01


def test_mntp_under_a_causal_mask_is_the_chain_rule(tokenizer):
  """Nothing hidden is seen anyway: n masked rows say what one row says."""
  network, params = small.network(
    'bert_base', mask='causal', packed=False, heads=('mlm',), vocab_size=tokenizer.size
  )
  [ids] = tokenizer.encode(TEXTS[:1])
  [found] = Scorer(network.apply, params, tokenizer, kind='mntp', mask='causal', max_length=64)(
    [ids]
  )
  row_T = np.array([tokenizer.bos, *ids])
  hidden_BxPxE, table_VxE, bias_V = network.apply(
    params, small.batch(row_T[None]) | dict(mlm_position=jnp.arange(len(row_T))[None])
  )['mlm']
  log_p_PxV = jax.nn.log_softmax(hidden_BxPxE[0] @ table_VxE.T + bias_V[None])
  np.testing.assert_allclose(found, -np.asarray(log_p_PxV)[np.arange(len(ids)), ids], **CLOSE)


@pytest.mark.parametrize('kind', CELLS)
def test_neither_batch_nor_padding_nor_order_changes_a_score(models, tokenizer, kind):
  ids = tokenizer.encode(TEXTS * 2)
  together = scorer(models, tokenizer, kind)(ids)
  order = np.random.default_rng(0).permutation(len(ids))
  # a row at a time
  shuffled = scorer(models, tokenizer, kind, batch_tokens=1)([ids[i] for i in order])
  odd = scorer(models, tokenizer, kind, batch_tokens=72, max_length=19)(ids)  # T is cut to 19
  for place, index in enumerate(order):
    np.testing.assert_allclose(shuffled[place], together[index], **CLOSE)
    np.testing.assert_allclose(odd[index], together[index], **CLOSE)


def test_few_programs_serve_many_lengths(models, tokenizer):
  network, params = models['causal']
  shapes = set()

  def apply(params, batch):
    shapes.add(batch['token'].shape)  # traced once a shape
    return network.apply(params, batch)

  ids = [np.full(n, 9, np.int32) for n in range(1, 60) for _ in range(4)]
  Scorer(apply, params, tokenizer, kind='causal', mask='causal', max_length=64, batch_tokens=256)(
    ids
  )
  assert {T for _, T in shapes} == {8, 16, 24, 32, 40, 48, 56, 64} and len(shapes) == 8
  assert all(B * T <= 256 for B, T in shapes)


def test_bits_per_byte_are_those_of_the_validation_set(models, tokenizer):
  """Of two documents that are packed into one row there, and read alone here.

  Unknown words cost what the model gives [UNK], and 8 bits for each byte of them.
  """
  texts = [f'Zebra {TEXTS[0]} \u65e5\u672c', TEXTS[3]]
  ids = tokenizer.encode(texts)
  framed = [[tokenizer.bos, *text, tokenizer.eos] for text in ids]
  row = np.zeros((1, 40), np.int32)
  batch = dict(token=row.copy(), segment=row.copy(), type=row.copy(), id=np.zeros(1, np.int32))
  batch['token'][0, : sum(map(len, framed))] = np.concatenate(framed)
  batch['segment'][0, : sum(map(len, framed))] = np.repeat([1, 2], [len(text) for text in framed])
  masking = Masking(
    rate=0.15,
    final_rate=0.0,
    fixed_maskings=0,
    masked=1.0,
    random=0.0,
    unit='token',
    span_mean=1.0,
    span_max=1,
    smoothing=0.0,
    random_from_specials=True,
  )
  setup = Setup(vocabulary_of(tokenizer), masking, 2_048)
  objective = make_objective(dict(clm=1.0), setup)
  network, params = small.network(
    'gpt2_small', mask='causal', packed=True, heads=('clm',), vocab_size=tokenizer.size
  )
  size, lost = sum(len(text.encode()) for text in texts), tokenizer.lost_bytes(texts)
  assert lost == len('Zebra') + 6
  held_out = make_evaluator(
    network.apply, objective, seed=0, shard=lambda x: jax.tree.map(jnp.asarray, x)
  )(params, {'': Part([batch], dict(bytes=size, words=11, lost_bytes=lost))})
  nats = scorer(models, tokenizer, 'causal')(ids)
  mine = summarize('causal', nats, size, lost_nats(lost))
  paid = sum(each.sum() for each in nats) / math.log(2) + 8 * lost
  assert math.isclose(mine['causal_bits_per_byte'], paid / size)
  assert math.isclose(mine['causal_bits_per_byte'], held_out['bits_per_byte'], rel_tol=1e-5)
  assert mine['causal_tokens'] == sum(map(len, ids)) and 'causal_perplexity' in mine


def test_a_pseudo_perplexity_says_so():
  assert summarize('pll', [np.array([1.0, 3.0])], 8).keys() == {
    'pll_nats',
    'pll_tokens',
    'pll_pseudo_bits_per_byte',
    'pll_pseudo_perplexity',
  }
  assert summarize('causal', [np.array([1.0, 3.0])], 8)['causal_perplexity'] == pytest.approx(
    math.exp(2)
  )


@pytest.mark.parametrize(
  'mask, objectives, kinds',
  [
    ('causal', ('clm',), ('causal',)),
    ('prefix', ('clm',), ('prefix', 'causal')),
    ('bidirectional', ('mlm', 'nsp'), ('pll', 'pll_word')),
    ('causal', ('mlm',), ('pll', 'pll_word')),
    ('bidirectional', ('mntp',), ('mntp',)),
    ('bidirectional', ('clm',), ()),
    ('bidirectional', ('nsp',), ()),
  ],
)
def test_each_cell_has_the_kinds_that_it_can_give(mask, objectives, kinds):
  assert kinds_of(mask, objectives) == kinds
  if kinds:
    assert (
      choose(None, mask, objectives) == kinds[0]
      and choose(kinds[-1], mask, objectives) == kinds[-1]
    )


@pytest.mark.parametrize(
  'kind, mask, objectives, words',
  [
    (
      'causal',
      'bidirectional',
      ['mlm'],
      "'causal': .*'bidirectional' and objectives mlm.* can give pll or pll_word",
    ),
    ('pll', 'causal', ['clm'], 'can give causal'),
    (None, 'bidirectional', ['clm'], 'sees the answers'),
    (None, 'bidirectional', ['nsp'], 'predicts no tokens'),
    ('perplexity', 'causal', ['clm'], 'none of causal, prefix'),
  ],
)
def test_an_impossible_kind_is_refused_with_those_that_are_not(kind, mask, objectives, words):
  with pytest.raises(TaskError, match=words) as error:
    choose(kind, mask, objectives)
  assert error.value.exit_code == 2


def test_a_text_that_does_not_fit_is_refused(models, tokenizer):
  fits, beyond = np.full(9, 9, np.int32), np.full(10, 9, np.int32)
  score = scorer(models, tokenizer, 'causal', max_length=10)
  assert len(score([fits])[0]) == 9
  with pytest.raises(TaskError, match='11 tokens.* reads 10'):
    score([beyond])
  with pytest.raises(TaskError, match='11 tokens.* reads 10'):  # [CLS] and [SEP]
    scorer(models, tokenizer, 'pll', max_length=10)([fits])


def test_random_words_are_scored_as_transformers_scores_them(tmp_path):
  torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
  transformers = pytest.importorskip(
    'transformers', reason="needs the extra parity: pip install -e '.[parity]'"
  )
  from test_convert import CASES, random_weights

  from interop.export import export

  for name, kind in (('gpt2', 'causal'), ('bert', 'pll')):
    mine = random_weights(name)
    export(mine, tmp_path, tmp_path / name)
    theirs = getattr(transformers, CASES[name][4]).from_pretrained(tmp_path / name).eval()
    ids = mine.tokenizer.encode([' '.join(WORDS[:7])])
    [found] = Scorer(
      mine.network.apply, mine.params, mine.tokenizer, kind=kind, mask=mine.mask, max_length=64
    )(ids)
    row = torch.tensor([[mine.tokenizer.bos, *ids[0], mine.tokenizer.eos]])
    for place, nats in enumerate(found):
      t = 1 + place
      shown = row.clone()
      if kind == 'pll':
        shown[0, t] = mine.tokenizer.mask
      with torch.no_grad():
        outputs = theirs(input_ids=shown)
      scores = getattr(outputs, 'prediction_logits', outputs.get('logits'))
      log_p = torch.log_softmax(scores[0, t - (kind == 'causal')], dim=-1)
      assert nats == pytest.approx(-log_p[row[0, t]].item(), abs=1e-4)
