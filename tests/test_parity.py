"""The one network computes what transformers computes, for random models of each family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tools import weights

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
transformers = pytest.importorskip('transformers', reason="needs the extra parity: pip install -e '.[parity]'")

B, T, V = 3, 11, 53
_BERT = dict(vocab_size=V, hidden_size=36, num_hidden_layers=3, num_attention_heads=3, intermediate_size=72,
             max_position_embeddings=20, initializer_range=0.2)
_GPT2 = dict(vocab_size=V, n_embd=36, n_layer=3, n_head=3, n_positions=20, initializer_range=0.2)
_LLAMA = _BERT | dict(num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64)
# Architecture, its config: odd sizes, tied and not, one layer, each activation.
MODELS = {
    'bert': ('BertForPreTraining', 'BertConfig', _BERT),
    'bert-one-layer-relu': ('BertForMaskedLM', 'BertConfig', _BERT | dict(num_hidden_layers=1, hidden_act='relu')),
    'bert-pooler': ('BertModel', 'BertConfig', _BERT | dict(hidden_act='gelu_new')),
    'bert-untied': ('BertForMaskedLM', 'BertConfig', _BERT | dict(tie_word_embeddings=False, hidden_act='silu')),
    'roberta': ('RobertaForMaskedLM', 'RobertaConfig', _BERT | dict(type_vocab_size=1, layer_norm_eps=1e-5)),
    'distilbert': ('DistilBertForMaskedLM', 'DistilBertConfig', dict(
        vocab_size=V, dim=36, n_layers=3, n_heads=3, hidden_dim=72, max_position_embeddings=20,
        initializer_range=0.2)),
    'albert': ('AlbertForMaskedLM', 'AlbertConfig', _BERT | dict(embedding_size=16)),
    'albert-pooler': ('AlbertModel', 'AlbertConfig', _BERT | dict(embedding_size=16, hidden_act='gelu')),
    'gpt2': ('GPT2LMHeadModel', 'GPT2Config', _GPT2),
    'gpt2-wide-untied': ('GPT2LMHeadModel', 'GPT2Config', _GPT2 | dict(
        n_inner=100, tie_word_embeddings=False, activation_function='relu', layer_norm_epsilon=1e-3)),
    'llama': ('LlamaForCausalLM', 'LlamaConfig', _LLAMA | dict(rope_parameters=dict(
        rope_type='default', rope_theta=500.0))),
    'llama-tied-heads-of-8': ('LlamaForCausalLM', 'LlamaConfig', _LLAMA | dict(
        tie_word_embeddings=True, head_dim=8, num_key_value_heads=6)),
}


@pytest.fixture(scope='module', params=MODELS)
def both(request, tmp_path_factory):
  """(their model, ours from the files they wrote)."""
  architecture, config, fields = MODELS[request.param]
  torch.manual_seed(0)
  model = getattr(transformers, architecture)(getattr(transformers, config)(**fields, attn_implementation='eager'))
  with torch.no_grad():  # biases and norms are born as zeros and ones, which would hide a mistake
    for x in model.parameters():
      if x.ndim == 1:
        x.add_(0.3 * torch.randn_like(x))
  folder = tmp_path_factory.mktemp(request.param)
  model.eval().save_pretrained(folder)
  return model, weights.load_huggingface(folder)


def inputs(ours):
  """Ragged rows, two sentence types where the model knows them: (ours, theirs)."""
  random = np.random.default_rng(0)
  token = random.integers(3, V, (B, T)).astype(np.int32)
  valid = (np.arange(T)[None] < np.array([[T], [7], [4]])).astype(np.int32)
  token = np.where(valid, token, 1)  # 1 is RoBERTa's padding, which its positions look at
  kind = ((np.arange(T)[None] > 3) & (ours.config.segment_types > 1)).astype(np.int32) * valid
  batch = dict(token=token, segment=valid, type=kind, mlm_position=np.tile(np.arange(T), (B, 1)))
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
    close(seen['weights'][layer].transpose(0, 2, 1, 3), expected.attentions[layer].transpose(1, 2), valid)
    if layer < layers - 1 or not ours.config.final_norm:
      close(seen['hidden'][layer], expected.hidden_states[layer + 1], valid)
  close(outputs['hidden'], expected.hidden_states[-1], valid)
  for head in ours.heads:
    if head in ('mlm', 'clm'):
      close(logits(outputs[head]), getattr(expected, 'prediction_logits', None) if 'nsp' in ours.heads
            else expected.logits, valid)
    elif head == 'nsp':
      close(outputs['nsp'], expected.seq_relationship_logits)
    else:
      close(outputs['pool'], expected.pooler_output)
