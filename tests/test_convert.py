"""In and out again is the same bits; what no stock class computes stays here, with the reason."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import small

from configs import base
from data.tokens import tokenizer as tokenizers
from inference.fill_mask import fill
from inference.model import Model
from interop.describe import describe, stock_class
from interop.export import export
from models.network import by_path
from runtime.errors import WeightsError
from training import load as loading
from training import warm_start

WORDS = (
  '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash into ##s . , old fish boat'
).split()
_LLAMA = small.LLAMA | dict(rotary_base=500.0)
_MODERN_LABELS = small.MODERN | dict(normed_heads=True, classifier_activation='gelu', classes=3)
CASES = {
  'modernbert': ('bert_base', 'bidirectional', ('mlm',), small.MODERN, 'ModernBertForMaskedLM'),
  'modernbert-sequence': (
    'bert_base',
    'bidirectional',
    ('sequence',),
    _MODERN_LABELS,
    'ModernBertForSequenceClassification',
  ),
  'modernbert-decoder': (
    'bert_base',
    'causal',
    ('clm',),
    small.MODERN | dict(shared_head=True, global_every=0),
    'ModernBertDecoderForCausalLM',
  ),
  'modernbert-decoder-sequence': (
    'bert_base',
    'causal',
    ('sequence',),
    _MODERN_LABELS | dict(plain_heads=True),
    'ModernBertDecoderForSequenceClassification',
  ),
  'electra': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(embedding_width=16),
    'ElectraForMaskedLM',
  ),
  'electra-discriminator': (
    'bert_base',
    'bidirectional',
    ('replaced',),
    {},
    'ElectraForPreTraining',
  ),
  'gpt': (
    'gpt2_small',
    'causal',
    ('clm',),
    small.GPT1,
    'OpenAIGPTLMHeadModel',
  ),
  'eurobert': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    _LLAMA | small.EUROBERT,
    'EuroBertForMaskedLM',
  ),
  'bert': ('bert_base', 'bidirectional', ('mlm', 'nsp'), {}, 'BertForPreTraining'),
  'bert-mlm': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(tie_embeddings=False),
    'BertForMaskedLM',
  ),
  'bert-bare': ('bert_base', 'bidirectional', ('pool',), {}, 'BertModel'),
  'bert-sequence': (
    'bert_base',
    'bidirectional',
    ('sequence',),
    dict(classes=3),
    'BertForSequenceClassification',
  ),
  'bert-tokens': (
    'bert_base',
    'bidirectional',
    ('tokens',),
    dict(classes=5),
    'BertForTokenClassification',
  ),
  'distilbert-sequence': (
    'bert_base',
    'bidirectional',
    ('sequence',),
    dict(segment_types=0, classifier_activation='relu'),
    'DistilBertForSequenceClassification',
  ),
  'albert': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(shared_layers=True, embedding_width=16),
    'AlbertForMaskedLM',
  ),
  'albert-pretraining': (
    'bert_base',
    'bidirectional',
    ('mlm', 'nsp'),
    dict(shared_layers=True, embedding_width=16),
    'AlbertForPreTraining',
  ),
  'rotary': (
    'bert_base',
    'bidirectional',
    ('mlm',),
    dict(positions='rotary', rotary_base=300.0),
    'JinaEmbeddingsV3ForMaskedLM',
  ),
  'rotary-sequence': (
    'bert_base',
    'bidirectional',
    ('sequence',),
    dict(positions='rotary', classes=3),
    'JinaEmbeddingsV3ForSequenceClassification',
  ),
  'gpt2': ('gpt2_small', 'causal', ('clm',), {}, 'GPT2LMHeadModel'),
  'gpt2-relu2': (
    'gpt2_small',
    'causal',
    ('clm',),
    dict(activation='relu_squared'),
    'GPT2LMHeadModel',
  ),
  'gpt2-sequence': (
    'gpt2_small',
    'causal',
    ('sequence',),
    dict(classes=3, plain_heads=True),
    'GPT2ForSequenceClassification',
  ),
  'gpt2-tokens': ('gpt2_small', 'causal', ('tokens',), {}, 'GPT2ForTokenClassification'),
  'llama-span': (
    'gpt2_small',
    'causal',
    ('span',),
    _LLAMA | dict(plain_heads=True),
    'LlamaForQuestionAnswering',
  ),
  'llama-sequence': (
    'gpt2_small',
    'causal',
    ('sequence',),
    _LLAMA | dict(plain_heads=True),
    'LlamaForSequenceClassification',
  ),
  'llama': (
    'gpt2_small',
    'causal',
    ('clm',),
    _LLAMA,
    'LlamaForCausalLM',
  ),
}


def random_weights(name: str) -> Model:
  config, mask, heads, changes, _ = CASES[name]
  network, params = small.network(config, mask=mask, packed=False, heads=heads, **changes)
  tokenizer = tokenizers.from_vocabulary(WORDS, lowercase=True)
  return Model(
    small.model(config, **dict(init_scale=0.3) | changes),
    mask,
    heads,
    network,
    params,
    tokenizer,
    True,
    'a random model',
  )


def of_vectors(name: str, heads: tuple[str, ...] = ('vector',), **changes) -> Model:
  """A random model of a case that was trained with an objective over vectors."""
  config, mask, _, of_case, _ = CASES[name]
  changes = of_case | changes
  network, params = small.network(config, mask=mask, packed=False, heads=heads, **changes)
  shape = small.model(config, **dict(init_scale=0.3) | changes)
  return random_weights(name)._replace(config=shape, heads=heads, network=network, params=params)


@pytest.mark.parametrize('name', CASES)
def test_out_in_saved_and_loaded_changes_no_bit_and_no_id(name, tmp_path):
  weights = random_weights(name)
  loading.save(weights, tmp_path / 'mine')
  export(loading.load(tmp_path / 'mine'), tmp_path / 'mine', tmp_path / 'theirs')
  assert json.loads((tmp_path / 'theirs/config.json').read_text())['architectures'] == [
    CASES[name][4]
  ]
  back = loading.load(tmp_path / 'theirs')
  loading.save(back, tmp_path / 'again')
  for found in (back, loading.load(tmp_path / 'again')):
    assert (found.mask, found.heads, found.add_bos) == (weights.mask, weights.heads, True)
    jax.tree.map(np.testing.assert_array_equal, by_path(found.params), by_path(weights.params))
    texts = ['The old banks of a river, [MASK].', '']
    for mine, theirs in zip(weights.tokenizer.encode(texts), found.tokenizer.encode(texts)):
      np.testing.assert_array_equal(mine, theirs)
  export(back, tmp_path / 'theirs', tmp_path / 'theirs2')
  assert (tmp_path / 'theirs/model.safetensors').read_bytes() == (
    tmp_path / 'theirs2/model.safetensors'
  ).read_bytes()


@pytest.mark.parametrize(
  'mask, heads, changes, words',
  [
    ('bidirectional', ('mlm',), dict(positions='none'), 'positions would be'),
    ('causal', ('mlm',), {}, 'bert: its mask is bidirectional'),
    ('bidirectional', ('mlm',), dict(norm='rms'), 'norm would be'),
    ('bidirectional', ('mlm',), dict(qk_norm=True), 'bert: qk_norm would be False, and is True'),
    ('bidirectional', ('mlm', 'pool'), {}, 'no class has the heads'),
    ('causal', ('sequence',), {}, 'config.model.plain_heads=True'),
  ],
)
def test_what_no_stock_class_computes_is_refused_with_the_reason(mask, heads, changes, words):
  fields = vars(small.model('bert_base', **changes))
  with pytest.raises(WeightsError, match=words):
    describe(fields, base.get_config().model.to_dict(), mask, heads, dict(pad_token_id=0))


@pytest.mark.parametrize('mask, head', [('causal', 'clm'), ('bidirectional', 'mlm')])
def test_shared_layers_are_written_once_for_each_layer_where_a_class_has_them(mask, head, tmp_path):
  name = dict(clm='gpt2', mlm='bert-mlm')[head]
  config, changes = CASES[name][0], dict(shared_layers=True, layers=3)
  network, params = small.network(config, mask=mask, heads=(head,), packed=False, **changes)
  shape = small.model(config, **changes)
  mine = random_weights(name)._replace(
    network=network, params=params, config=shape, heads=(head,), mask=mask
  )
  export(mine, tmp_path, tmp_path / 'out')
  back = loading.load(tmp_path / 'out')
  assert back.config.layers == 3 and not back.config.shared_layers
  ours, theirs = by_path(params), by_path(back.params)
  assert ours.keys() == theirs.keys()
  for path, x in ours.items():
    copies = theirs[path] if path.startswith('trunk/blocks/') else [theirs[path]]
    assert len(copies) in (1, 3)
    for copy in copies:
      np.testing.assert_array_equal(copy, x)


def test_a_head_without_a_place_is_left_out_and_said(tmp_path):
  both = ('mlm', 'nsp')
  network, params = small.network('bert_base', heads=both, positions='rotary', packed=False)
  config = small.model('bert_base', positions='rotary')
  weights = random_weights('bert')._replace(network=network, params=params, config=config)
  with pytest.warns(UserWarning, match='no head nsp'):
    heads, count = export(weights, tmp_path, tmp_path / 'out')
  back = loading.load(tmp_path / 'out')
  assert heads == back.heads == ('mlm',)
  assert count == sum(x.size for x in jax.tree.leaves(back.params))
  assert '| heads_left_out | nsp |' in (tmp_path / 'out/README.md').read_text()
  kept = {path: x for path, x in by_path(params).items() if not path.startswith('nsp/')}
  jax.tree.map(np.testing.assert_array_equal, by_path(back.params), kept)


@pytest.mark.parametrize(
  'name, said',
  [
    ('bert', 'bidirectional, heads: mlm, nsp'),
    ('bert-bare', 'bidirectional, heads: pool'),
    ('bert-mlm', 'bidirectional, heads: mlm'),
    ('gpt2', 'causal, heads: clm'),
  ],
)
def test_a_run_that_begins_with_weights_of_others_names_what_they_have(name, said, tmp_path):
  weights = random_weights(name)
  export(weights, tmp_path, tmp_path / 'theirs')
  loading.save(loading.load(tmp_path / 'theirs'), tmp_path / 'imported')
  for folder in (tmp_path / 'theirs', tmp_path / 'imported'):
    _, origin = warm_start._parameters(folder, None, None)
    assert origin == f'{folder} ({said})'


def test_nothing_is_written_over(tmp_path):
  weights = random_weights('bert')
  loading.save(weights, tmp_path / 'a')
  for write in (lambda to: loading.save(weights, to), lambda to: export(weights, tmp_path, to)):
    with pytest.raises(WeightsError, match='not empty'):
      write(tmp_path / 'a')


def test_a_model_for_sentences_is_the_trunk_and_its_pooling(tmp_path):
  weights = random_weights('bert')
  heads, count = export(weights, tmp_path, tmp_path / 'out', sentences=True)
  back = loading.load(tmp_path / 'out')
  assert heads == back.heads == ('pool',)
  assert count == sum(x.size for x in jax.tree.leaves(back.params))
  assert '| heads | pool |' in (tmp_path / 'out/README.md').read_text()
  modules = json.loads((tmp_path / 'out/modules.json').read_text())
  assert [module['type'].rpartition('.')[2] for module in modules] == [
    'Transformer',
    'Pooling',
    'Normalize',
  ]


@pytest.mark.parametrize(
  'name, changes, words',
  [
    ('gpt2', dict(pooling='first'), 'under a causal mask'),
    ('bert', dict(projection=8, projection_activation='relu_squared'), 'no class of torch.nn'),
    ('bert', dict(projection=8), 'no parameters of it'),
  ],
)
def test_vectors_that_sentence_transformers_does_not_compute_are_refused(
  name, changes, words, tmp_path
):
  weights = random_weights(name)
  weights = weights._replace(config=dataclasses.replace(weights.config, **changes))
  with pytest.raises(WeightsError, match=words):
    export(weights, tmp_path, tmp_path / 'no', sentences=True)
  assert not (tmp_path / 'no').exists()


@pytest.mark.parametrize(
  'name, heads, changes, said',
  [
    ('bert', ('vector',), {}, 'sentence-transformers over BertModel'),
    ('bert', ('mlm', 'pair'), {}, 'sentence-transformers over BertModel'),
    ('gpt2', ('vector',), dict(pooling='last'), 'sentence-transformers over GPT2Model'),
    ('llama', ('pair',), {}, 'sentence-transformers over LlamaModel'),
    ('gpt2', ('vector',), dict(pooling='first'), "nothing; pooling 'first' under a causal mask"),
    ('bert', ('vector',), dict(norm='rms'), 'nothing; bert: norm would be'),
    ('bert', ('mlm',), {}, 'BertForMaskedLM'),
  ],
)
def test_the_class_that_a_run_exports_to_is_named(name, heads, changes, said):
  config, mask, _, of_case, _ = CASES[name]
  fields = vars(small.model(config, **of_case | changes))
  found = stock_class(fields, base.get_config().model.to_dict(), mask, heads, ahead=False)
  assert found.startswith(said)


def test_blanks_are_filled_with_what_the_head_finds_likeliest():
  weights = random_weights('bert')
  text = 'the [MASK] of a [MASK].'
  masks = fill(weights, text, 50)
  ids = [2, 5, 4, 7, 8, 4, WORDS.index('.'), 3]
  batch = small.batch([ids]) | dict(mlm_position=np.array([[2, 5]]))
  hidden, table, bias = weights.network.apply(weights.params, batch)['mlm']
  logits_PxV = (np.asarray(hidden) @ np.asarray(table).T + np.asarray(bias))[0]
  assert [mask['position'] for mask in masks] == [2, 5]
  for mask, logits_V in zip(masks, logits_PxV):
    p_V = np.exp(logits_V - logits_V.max())
    # the model has more ids; those without a token are no candidates
    assert len(mask['candidates']) == len(WORDS)
    for candidate in mask['candidates']:
      assert candidate['probability'] == pytest.approx(p_V[candidate['id']] / p_V.sum(), abs=1e-5)
  words = [
    candidate['token']
    for mask in fill(weights, text, 50, words=True)
    for candidate in mask['candidates']
  ]
  assert not [word for word in words if word.startswith(('##', '['))] and 'bank' in words


@pytest.mark.parametrize(
  'name, text, words',
  [
    ('gpt2', 'a [MASK]', 'causal model without an MLM head'),
    ('bert-bare', 'a [MASK]', 'no MLM head'),
    ('bert', 'a', 'no blank'),
    ('bert', 'a [MASK]' * 60, 'the model reads 64'),
  ],
)
def test_what_cannot_be_filled_says_why(name, text, words):
  with pytest.raises(ValueError, match=words):
    fill(random_weights(name), text, 5)


@pytest.mark.parametrize('mask, pooling', [('bidirectional', 'mean'), ('causal', 'first')])
def test_a_pooling_that_no_class_has_is_refused_with_the_knob(mask, pooling):
  name = 'bert-sequence' if mask == 'bidirectional' else 'gpt2-sequence'
  fields, defaults = vars(random_weights(name).config), base.get_config().model.to_dict()
  with pytest.raises(WeightsError, match=f"finetune.pooling would be '.*', and is '{pooling}'"):
    describe(fields, defaults, mask, ('sequence',), {}, pooling=pooling)
  right = 'first' if mask == 'bidirectional' else 'last'
  assert describe(fields, defaults, mask, ('sequence',), {}, pooling=right)
