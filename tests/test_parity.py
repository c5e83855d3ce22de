"""The one network computes what transformers computes, for random models of each family."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from test_convert import CASES, random_weights

from data.tokens import vocabulary
from inference.decode import Decoder
from inference.sampling import Sampling
from interop import families, huggingface
from interop.export import export
from models.network import by_path
from training import load

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
transformers = pytest.importorskip(
  'transformers', reason="needs the extra parity: pip install -e '.[parity]'"
)
from transformers import core_model_loading  # noqa: E402

B, T, V = 3, 11, 53
_BERT = dict(
  vocab_size=V,
  hidden_size=36,
  num_hidden_layers=3,
  num_attention_heads=3,
  intermediate_size=72,
  max_position_embeddings=20,
  initializer_range=0.2,
)
_GPT2 = dict(vocab_size=V, n_embd=36, n_layer=3, n_head=3, n_positions=20, initializer_range=0.2)
_LLAMA = _BERT | dict(num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64)
_DISTILBERT = dict(
  vocab_size=V,
  dim=36,
  n_layers=3,
  n_heads=3,
  hidden_dim=72,
  max_position_embeddings=20,
  initializer_range=0.2,
)
_MODERN = dict(
  vocab_size=V,
  hidden_size=36,
  num_hidden_layers=5,
  num_attention_heads=3,
  intermediate_size=41,
  max_position_embeddings=20,
  initializer_range=0.2,
  local_attention=6,
  pad_token_id=1,
  rope_parameters=dict(
    full_attention=dict(rope_type='default', rope_theta=500.0),
    sliding_attention=dict(rope_type='default', rope_theta=30.0),
  ),
)
# Architecture, its config: odd sizes, tied and not, one layer, each activation.
MODELS = {
  'bert': ('BertForPreTraining', 'BertConfig', _BERT),
  'bert-one-layer-relu': (
    'BertForMaskedLM',
    'BertConfig',
    _BERT | dict(num_hidden_layers=1, hidden_act='relu'),
  ),
  'bert-pooler': ('BertModel', 'BertConfig', _BERT | dict(hidden_act='gelu_new')),
  'bert-untied': (
    'BertForMaskedLM',
    'BertConfig',
    _BERT | dict(tie_word_embeddings=False, hidden_act='silu'),
  ),
  'roberta': (
    'RobertaForMaskedLM',
    'RobertaConfig',
    _BERT | dict(type_vocab_size=1, layer_norm_eps=1e-5),
  ),
  'rotary': (
    'JinaEmbeddingsV3ForMaskedLM',
    'JinaEmbeddingsV3Config',
    _BERT | dict(type_vocab_size=2, rope_parameters=dict(rope_type='default', rope_theta=500.0)),
  ),
  'rotary-sequence': (
    'JinaEmbeddingsV3ForSequenceClassification',
    'JinaEmbeddingsV3Config',
    _BERT | dict(num_labels=3),
  ),
  'distilbert': ('DistilBertForMaskedLM', 'DistilBertConfig', _DISTILBERT),
  'albert': ('AlbertForMaskedLM', 'AlbertConfig', _BERT | dict(embedding_size=16)),
  'albert-pretraining': (
    'AlbertForPreTraining',
    'AlbertConfig',
    _BERT | dict(embedding_size=16, hidden_act='gelu'),
  ),
  'albert-pooler': (
    'AlbertModel',
    'AlbertConfig',
    _BERT | dict(embedding_size=16, hidden_act='gelu'),
  ),
  'bert-sequence': ('BertForSequenceClassification', 'BertConfig', _BERT | dict(num_labels=3)),
  'bert-tokens': ('BertForTokenClassification', 'BertConfig', _BERT | dict(num_labels=5)),
  'bert-span': ('BertForQuestionAnswering', 'BertConfig', _BERT),
  'roberta-sequence': (
    'RobertaForSequenceClassification',
    'RobertaConfig',
    _BERT | dict(type_vocab_size=1, num_labels=3),
  ),
  'distilbert-sequence': (
    'DistilBertForSequenceClassification',
    'DistilBertConfig',
    _DISTILBERT | dict(num_labels=4),
  ),
  'distilbert-span': ('DistilBertForQuestionAnswering', 'DistilBertConfig', _DISTILBERT),
  'albert-sequence': (
    'AlbertForSequenceClassification',
    'AlbertConfig',
    _BERT | dict(embedding_size=16),
  ),
  'roberta-tokens': ('RobertaForTokenClassification', 'RobertaConfig', _BERT | dict(num_labels=5)),
  'distilbert-tokens': (
    'DistilBertForTokenClassification',
    'DistilBertConfig',
    _DISTILBERT | dict(num_labels=5),
  ),
  'albert-tokens': (
    'AlbertForTokenClassification',
    'AlbertConfig',
    _BERT | dict(embedding_size=16, num_labels=5),
  ),
  'gpt2-sequence': (
    'GPT2ForSequenceClassification',
    'GPT2Config',
    _GPT2 | dict(num_labels=4, pad_token_id=1),
  ),
  'gpt2-tokens': ('GPT2ForTokenClassification', 'GPT2Config', _GPT2 | dict(num_labels=5)),
  'gpt2-span': ('GPT2ForQuestionAnswering', 'GPT2Config', _GPT2),
  'llama-sequence': (
    'LlamaForSequenceClassification',
    'LlamaConfig',
    _LLAMA | dict(num_labels=4, pad_token_id=1),
  ),
  'llama-tokens': ('LlamaForTokenClassification', 'LlamaConfig', _LLAMA | dict(num_labels=5)),
  'llama-span': ('LlamaForQuestionAnswering', 'LlamaConfig', _LLAMA),
  'modernbert': ('ModernBertForMaskedLM', 'ModernBertConfig', _MODERN),
  'modernbert-untied-windows-alone': (
    'ModernBertForMaskedLM',
    'ModernBertConfig',
    _MODERN | dict(tie_word_embeddings=False, layer_types=5 * ['sliding_attention']),
  ),
  'modernbert-all-global': (
    'ModernBertForMaskedLM',
    'ModernBertConfig',
    _MODERN | dict(num_hidden_layers=2, layer_types=2 * ['full_attention']),
  ),
  'modernbert-sequence': (
    'ModernBertForSequenceClassification',
    'ModernBertConfig',
    _MODERN | dict(num_labels=3),
  ),
  'modernbert-sequence-mean': (
    'ModernBertForSequenceClassification',
    'ModernBertConfig',
    _MODERN | dict(num_labels=3, classifier_pooling='mean', local_attention=3),
  ),
  'modernbert-tokens': (
    'ModernBertForTokenClassification',
    'ModernBertConfig',
    _MODERN | dict(num_labels=5, num_hidden_layers=7),
  ),
  'modernbert-span': ('ModernBertForQuestionAnswering', 'ModernBertConfig', _MODERN),
  'modernbert-decoder': ('ModernBertDecoderForCausalLM', 'ModernBertDecoderConfig', _MODERN),
  'modernbert-decoder-untied-every-second': (
    'ModernBertDecoderForCausalLM',
    'ModernBertDecoderConfig',
    _MODERN | dict(tie_word_embeddings=False, global_attn_every_n_layers=2, local_attention=4),
  ),
  'modernbert-decoder-sequence': (
    'ModernBertDecoderForSequenceClassification',
    'ModernBertDecoderConfig',
    _MODERN | dict(num_labels=4),
  ),
  'xlm-roberta': (
    'XLMRobertaForMaskedLM',
    'XLMRobertaConfig',
    _BERT | dict(type_vocab_size=1, layer_norm_eps=1e-5),
  ),
  'xlm-roberta-sequence': (
    'XLMRobertaForSequenceClassification',
    'XLMRobertaConfig',
    _BERT | dict(type_vocab_size=1, num_labels=3),
  ),
  'camembert': ('CamembertForMaskedLM', 'CamembertConfig', _BERT | dict(type_vocab_size=1)),
  'camembert-tokens': ('CamembertForTokenClassification', 'CamembertConfig', _BERT),
  'electra-generator': ('ElectraForMaskedLM', 'ElectraConfig', _BERT | dict(embedding_size=16)),
  'electra-generator-one-width': (
    'ElectraForMaskedLM',
    'ElectraConfig',
    _BERT | dict(embedding_size=36, tie_word_embeddings=False),
  ),
  'electra-discriminator': (
    'ElectraForPreTraining',
    'ElectraConfig',
    _BERT | dict(embedding_size=16),
  ),
  'electra-sequence': (
    'ElectraForSequenceClassification',
    'ElectraConfig',
    _BERT | dict(embedding_size=36, num_labels=3),
  ),
  'electra-tokens': (
    'ElectraForTokenClassification',
    'ElectraConfig',
    _BERT | dict(embedding_size=16, num_labels=5),
  ),
  'electra-span': ('ElectraForQuestionAnswering', 'ElectraConfig', _BERT | dict(embedding_size=16)),
  'gpt': ('OpenAIGPTLMHeadModel', 'OpenAIGPTConfig', _GPT2),
  'gpt-untied-relu': (
    'OpenAIGPTLMHeadModel',
    'OpenAIGPTConfig',
    _GPT2 | dict(tie_word_embeddings=False, afn='relu', n_layer=1),
  ),
  'gpt-sequence': (
    'OpenAIGPTForSequenceClassification',
    'OpenAIGPTConfig',
    _GPT2 | dict(num_labels=4, pad_token_id=1),
  ),
  'eurobert': ('EuroBertForMaskedLM', 'EuroBertConfig', _LLAMA | dict(pad_token_id=1)),
  'eurobert-tied': (
    'EuroBertForMaskedLM',
    'EuroBertConfig',
    _LLAMA | dict(pad_token_id=1, tie_word_embeddings=True, head_dim=8, hidden_act='gelu'),
  ),
  'eurobert-tokens': (
    'EuroBertForTokenClassification',
    'EuroBertConfig',
    _LLAMA | dict(pad_token_id=1, num_labels=5),
  ),
  'gpt2': ('GPT2LMHeadModel', 'GPT2Config', _GPT2),
  'gpt2-wide-untied': (
    'GPT2LMHeadModel',
    'GPT2Config',
    _GPT2
    | dict(
      n_inner=100, tie_word_embeddings=False, activation_function='relu', layer_norm_epsilon=1e-3
    ),
  ),
  'llama': (
    'LlamaForCausalLM',
    'LlamaConfig',
    _LLAMA | dict(rope_parameters=dict(rope_type='default', rope_theta=500.0)),
  ),
  'llama-tied-heads-of-8': (
    'LlamaForCausalLM',
    'LlamaConfig',
    _LLAMA | dict(tie_word_embeddings=True, head_dim=8, num_key_value_heads=6),
  ),
}


@pytest.fixture(scope='module', params=MODELS)
def both(request, tmp_path_factory):
  """(their model, ours from the files they wrote)."""
  architecture, config, fields = MODELS[request.param]
  torch.manual_seed(0)
  model = getattr(transformers, architecture)(
    getattr(transformers, config)(**fields, attn_implementation='eager')
  )
  with torch.no_grad():  # biases and norms are born as zeros and ones, which would hide a mistake
    for x in model.parameters():
      if x.ndim == 1:
        x.add_(0.3 * torch.randn_like(x))
  folder = tmp_path_factory.mktemp(request.param)
  model.eval().save_pretrained(folder)
  return model, load.load_huggingface(folder)


def inputs(ours):
  """Ragged rows, two sentence types where the model knows them: (ours, theirs)."""
  random = np.random.default_rng(0)
  token = random.integers(3, V, (B, T)).astype(np.int32)
  valid = (np.arange(T)[None] < np.array([[T], [7], [4]])).astype(np.int32)
  token = np.where(valid, token, 1)  # 1 is RoBERTa's padding, which its positions look at
  kind = ((np.arange(T)[None] > 3) & (ours.config.segment_types > 1)).astype(np.int32) * valid
  batch = dict(token=token, segment=valid, type=kind, mlm_position=np.tile(np.arange(T), (B, 1)))
  if ours.labels and ours.labels.pooling == 'last':
    batch |= dict(pool_at=valid.sum(axis=1, keepdims=True) - 1)
  if ours.labels and ours.labels.pooling == 'mean':
    batch |= dict(pool=(valid / valid.sum(axis=1, keepdims=True))[:, None])
  theirs = dict(input_ids=torch.tensor(token).long(), attention_mask=torch.tensor(valid).long())
  if ours.config.segment_types:
    theirs['token_type_ids'] = torch.tensor(kind).long()
  return jax.tree.map(jnp.asarray, batch), theirs, valid.astype(bool)


def close(ours, theirs, valid=None):
  """To 1e-5 of the largest number, float32 on both sides."""
  ours, theirs = np.asarray(ours), theirs.detach().numpy()
  if valid is not None:
    ours, theirs = ours[valid], theirs[valid]
  np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()), rtol=0)


def logits(projection):
  hidden_BxPxE, table_VxE, bias_V = projection
  logits_BxPxV = jnp.einsum('BPE,VE->BPV', hidden_BxPxE, table_VxE)
  return logits_BxPxV if bias_V is None else logits_BxPxV + bias_V[None, None]


def test_hidden_states_attention_and_logits_are_theirs(both):
  model, ours = both
  batch, theirs, valid = inputs(ours)
  expected = model(**theirs, output_hidden_states=True, output_attentions=True)
  outputs, seen = ours.network.inspect(ours.params, batch)
  layers = ours.config.layers
  for layer in range(layers):
    close(
      seen['weights'][layer].transpose(0, 2, 1, 3),
      expected.attentions[layer].transpose(1, 2),
      valid,
    )
    if layer < layers - 1 or not ours.config.final_norm:
      close(seen['hidden'][layer], expected.hidden_states[layer + 1], valid)
  close(outputs['hidden'], expected.hidden_states[-1], valid)
  for head in ours.heads:
    if head == 'replaced':
      close(outputs[head], expected.logits, valid)
    elif head in ('mlm', 'clm'):
      close(
        logits(outputs[head]),
        getattr(expected, 'prediction_logits', None) if 'nsp' in ours.heads else expected.logits,
        valid,
      )
    elif head == 'nsp':
      sop = model.config.model_type == 'albert'
      close(outputs['nsp'], expected.sop_logits if sop else expected.seq_relationship_logits)
    elif head == 'pool':
      close(outputs['pool'], expected.pooler_output)
    elif head == 'span':
      close(
        outputs['span'], torch.stack([expected.start_logits, expected.end_logits], axis=2), valid
      )
    elif head == 'sequence':
      close(outputs[head][:, 0], expected.logits)  # a row is one text
    else:
      close(outputs[head], expected.logits, valid)


def test_losses_and_gradients_are_theirs(both):
  """Over ragged rows with padding; every parameter's gradient to 1e-4 of its largest number."""
  model, ours = both
  head = next((head for head in ours.heads if head != 'nsp'), None)
  if head == 'pool':
    pytest.skip('a pooler alone has no loss')
  batch, theirs, valid = inputs(ours)
  token = np.asarray(batch['token'])
  # Their GPTs shift inside; what they must not count is -100 on both sides.
  counted = valid.copy()
  if head == 'clm':
    counted[:, 0] = False
  labels = torch.tensor(np.where(counted, token, -100)).long()
  kind = np.array([1, 0, 1])  # of each row
  asked = dict(labels=labels)
  if 'nsp' in ours.heads:
    sop = model.config.model_type == 'albert'
    asked['sentence_order_label' if sop else 'next_sentence_label'] = torch.tensor(kind)
  elif head == 'sequence':
    asked = dict(labels=torch.tensor(kind))
  elif head == 'tokens':
    asked = dict(labels=torch.where(labels < 0, labels, labels % ours.config.classes))
  elif head == 'replaced':
    asked = dict(labels=torch.tensor(token % 2).float())
  elif (
    head == 'span'
  ):  # its softmax is over the row, padding included, where the two need not agree
    batch, theirs = ({name: x[:1] for name, x in fed.items()} for fed in (batch, theirs))
    kind = kind[:1]
    asked = dict(start_positions=torch.tensor(kind), end_positions=torch.tensor(kind + 2))
  expected = model(**theirs, **asked)
  model.zero_grad()
  expected.loss.backward()

  def loss(params):
    outputs = ours.network.apply(params, batch)
    picked = lambda scores, labels: jnp.take_along_axis(
      jax.nn.log_softmax(scores), labels[..., None], axis=-1
    )[..., 0]
    if head == 'sequence':
      return -picked(outputs[head][:, 0], kind).mean()
    if head == 'span':
      return -sum(picked(outputs[head][:, :, end], kind + 2 * end).mean() for end in (0, 1)) / 2
    if head == 'replaced':
      logit, wanted = outputs[head], token % 2
      either = jax.nn.softplus(logit) - logit * wanted
      return (either * valid).sum() / valid.sum()
    scores = outputs[head] if head == 'tokens' else logits(outputs[head])
    chosen = np.where(counted, token, 0) % scores.shape[2]
    if head == 'clm':
      scores, chosen, weight = scores[:, :-1], chosen[:, 1:], counted[:, 1:]
    else:
      weight = counted
    total = -(picked(scores, chosen) * weight).sum() / weight.sum()
    if 'nsp' in ours.heads:
      total -= picked(outputs['nsp'], kind).mean()
    return total

  value, gradient = jax.value_and_grad(loss)(jax.tree.map(jnp.asarray, ours.params))
  assert float(value) == pytest.approx(expected.loss.item(), abs=1e-5)
  family = families.FAMILIES[model.config.model_type]
  mine = huggingface.export_parameters(
    family, {path: np.asarray(x) for path, x in by_path(gradient).items()}, ours.heads
  )
  named = {name: x.grad for name, x in model.named_parameters() if x.grad is not None}
  if model.config.model_type == 'jina_embeddings_v3':  # its files have other names
    named = core_model_loading.revert_weight_conversion(model, named)
    if 'lm_head.decoder.weight' in named:  # tied; the module names it by its second place
      named['roberta.embeddings.word_embeddings.weight'] = named.pop('lm_head.decoder.weight')
  if 'roberta.embeddings.word_embeddings.weight' in mine.keys() - named.keys():  # tied, as above
    named['roberta.embeddings.word_embeddings.weight'] = named.pop('lm_head.decoder.weight')
  if 'cls.predictions.decoder.bias' in named:  # untied, this one is in use
    named['cls.predictions.bias'] = named['cls.predictions.decoder.bias']
  assert mine.keys() == named.keys()
  # where a gradient is zero, as that of span's bias, both have float32's rounding
  for name, x in named.items():
    np.testing.assert_allclose(
      mine[name], x.numpy(), atol=1e-4 * max(2e-3, float(x.abs().max())), err_msg=name
    )


TEXTS = [
  'The banks of a river.',
  'Éléphant naïve Ångström',
  '你好，世界 river',
  '😀 the 👩‍👩‍👧 bank',
  '\x00\x07 a\u200bb\ufeff \t c',
  '[MASK] literally, and [CLS]',
  'w' * 300,
  '',
  '   ',
  "don't u.s.a. 3.14 $5,000",
  'ﬁ ﬃ Ǆ İstanbul ß',
]


def test_an_exported_model_is_theirs_with_its_tokenizer(tmp_path):
  for name in (
    *('bert', 'bert-mlm', 'rotary', 'gpt2', 'llama', 'albert', 'albert-pretraining'),
    *('modernbert', 'modernbert-decoder', 'electra', 'gpt', 'eurobert'),
  ):
    mine = random_weights(name)
    export(mine, tmp_path, tmp_path / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / name)
    model = getattr(transformers, CASES[name][4]).from_pretrained(tmp_path / name).eval()
    closed = [mine.tokenizer.eos] if mine.mask == 'bidirectional' else []
    for text in TEXTS:
      if '[' in text:  # a name of a special token is one to them, and plain text to us
        continue
      assert tokenizer(text)['input_ids'] == [
        mine.tokenizer.bos,
        *mine.tokenizer.encode([text])[0],
        *closed,
      ], text
    ids = np.array([[2, 5, 6, 7, 8, 3]], np.int32)
    outputs = mine.network.apply(
      mine.params, small.batch(ids) | dict(mlm_position=np.arange(6)[None])
    )
    found = model(input_ids=torch.tensor(ids).long())
    head = next(head for head in mine.heads if head in ('mlm', 'clm'))
    close(logits(outputs[head]), found.prediction_logits if 'nsp' in mine.heads else found.logits)


@pytest.mark.parametrize(
  'config, heads, train',
  [
    ('families.roberta_base', ('mlm',), vocabulary.train_roberta_bpe),
    ('families.albert_base', ('mlm', 'nsp'), lambda *asked: vocabulary.train_unigram(*asked, True)),
  ],
)
def test_a_vocabulary_trained_here_is_read_alike_with_its_stock_class(
  config, heads, train, tmp_path
):
  tokenizer = train([text for text in TEXTS if '[' not in text] * 3, 320)
  changes = dict(embedding_width=16) if 'nsp' in heads else {}
  changes |= dict(vocab_size=tokenizer.size)
  network, params = small.network(config, heads=heads, packed=False, **changes)
  mine = random_weights('bert')._replace(
    tokenizer=tokenizer,
    network=network,
    params=params,
    heads=heads,
    config=small.model(config, **dict(init_scale=0.3) | changes),
  )
  export(mine, tmp_path, tmp_path / 'out')
  architecture = json.loads((tmp_path / 'out/config.json').read_text())['architectures'][0]
  model = getattr(transformers, architecture).from_pretrained(tmp_path / 'out').eval()
  theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / 'out')
  assert architecture in ('RobertaForMaskedLM', 'AlbertForPreTraining')
  for text in TEXTS:
    if '[' in text:
      continue
    ids = [tokenizer.bos, *tokenizer.encode([text])[0].tolist(), tokenizer.eos]
    assert theirs(text)['input_ids'] == ids, text
    if len(ids) > 40:
      continue
    # padding, which RoBERTa's positions leave out
    padded = np.array([[*ids, *[tokenizer.pad] * 3]], np.int32)
    valid = np.arange(padded.shape[1])[None] < len(ids)
    place = dict(mlm_position=np.arange(padded.shape[1])[None])
    outputs = mine.network.apply(params, small.batch(padded, valid.astype(np.int32)) | place)
    asked = dict(input_ids=torch.tensor(padded).long(), attention_mask=torch.tensor(valid).long())
    found = model(**asked)
    scores = found.prediction_logits if 'nsp' in heads else found.logits
    close(logits(outputs['mlm']), scores, valid)


@pytest.mark.parametrize('name', ['gpt2', 'modernbert-decoder'])
def test_greedy_writing_is_theirs(name, tmp_path):
  mine = random_weights(name)
  random = np.random.default_rng(0)  # biases are born as zeros, which would hide that one is lost
  moved = lambda x: x + 0.3 * random.normal(size=x.shape).astype(np.float32) * (x.ndim == 1)
  mine = mine._replace(params=jax.tree.map(moved, mine.params))
  export(mine, tmp_path, tmp_path / 'out')
  model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'out').eval()
  prompt = np.array([2, 5, 6, 9], np.int32)
  expected = model.generate(
    torch.tensor(prompt[None]).long(), do_sample=False, max_new_tokens=20, eos_token_id=None
  )
  decoder = Decoder(mine.network, mine.config, mine.params, Sampling(temperature=0.0))
  row, _ = decoder.start([prompt], [jax.random.key(0)], room=20)
  found = [int(row.token_B[0])]
  for _ in range(19):
    row, _ = decoder.step(row)
    found.append(int(row.token_B[0]))
  assert found == expected[0, 4:].tolist()
