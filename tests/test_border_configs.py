"""Folders of strangers, varied key by key and tensor by tensor: the numbers of transformers, or
refused by name.
"""

import functools
import json
from pathlib import Path
import shutil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
import small

from interop import alternating, families, keys
from models.network import make_network
from runtime.errors import WeightsError
from training import load

V, T, POSITIONS = 37, 9, 16
_BERT = dict(
  vocab_size=V,
  hidden_size=24,
  num_hidden_layers=2,
  num_attention_heads=2,
  intermediate_size=32,
  max_position_embeddings=POSITIONS,
  initializer_range=0.3,
)
# Family: class, its config, name of the output's weight and bias, of the embedding, of a norm.
CLASSES = dict(
  bert=('BertForMaskedLM', _BERT),
  roberta=('RobertaForMaskedLM', _BERT | dict(type_vocab_size=1, layer_norm_eps=1e-5)),
  jina_embeddings_v3=('JinaEmbeddingsV3ForMaskedLM', _BERT | dict(type_vocab_size=2)),
  distilbert=(
    'DistilBertForMaskedLM',
    dict(
      vocab_size=V,
      dim=24,
      n_layers=2,
      n_heads=2,
      hidden_dim=32,
      max_position_embeddings=POSITIONS,
      initializer_range=0.3,
    ),
  ),
  albert=('AlbertForMaskedLM', _BERT | dict(embedding_size=16)),
  gpt2=(
    'GPT2LMHeadModel',
    dict(
      vocab_size=V, n_embd=24, n_layer=2, n_head=2, n_positions=POSITIONS, initializer_range=0.3
    ),
  ),
  llama=('LlamaForCausalLM', _BERT | dict(num_key_value_heads=1, hidden_act='silu')),
)
_EVERY_VARIANT = tuple(CLASSES)  # of tensors; what follows has a few
_MODERN = _BERT | dict(num_hidden_layers=4, local_attention=6, pad_token_id=1)
CLASSES |= {
  'modernbert': ('ModernBertForMaskedLM', _MODERN),
  'modernbert-decoder': ('ModernBertDecoderForCausalLM', _MODERN),
  'xlm-roberta': ('XLMRobertaForMaskedLM', _BERT | dict(type_vocab_size=1)),
  'camembert': ('CamembertForMaskedLM', _BERT | dict(type_vocab_size=1)),
  'electra': ('ElectraForMaskedLM', _BERT | dict(embedding_size=16)),
  'openai-gpt': ('OpenAIGPTLMHeadModel', CLASSES['gpt2'][1]),
  'eurobert': ('EuroBertForMaskedLM', CLASSES['llama'][1] | dict(pad_token_id=1)),
}
# A value of each inert key that is not its default.
INERT = dict(
  dict.fromkeys('_name_or_path name_or_path license language'.split(), 'somebody/somewhere'),
  _commit_hash='0123abcd',
  transformers_version='2.3.0',
  tokenizer_class='SomeTokenizer',
  unsloth_fixed=True,
  unsloth_version='2025.1',
  **dict.fromkeys('sep_token_id cls_token_id mask_token_id prefix_token_id'.split(), 5),
  decoder_start_token_id=5,
  max_length=50,
  min_length=3,
  do_sample=True,
  early_stopping=True,
  num_beams=4,
  num_beam_groups=2,
  diversity_penalty=0.5,
  temperature=0.7,
  top_k=40,
  top_p=0.9,
  typical_p=0.9,
  repetition_penalty=1.2,
  length_penalty=2.0,
  no_repeat_ngram_size=3,
  encoder_no_repeat_ngram_size=3,
  bad_words_ids=[[7]],
  num_return_sequences=2,
  forced_bos_token_id=5,
  forced_eos_token_id=5,
  remove_invalid_values=True,
  exponential_decay_length_penalty=[5, 1.1],
  suppress_tokens=[7],
  begin_suppress_tokens=[7],
  task_specific_params={'text-generation': dict(do_sample=True, max_length=50)},
  output_attentions=False,
  output_hidden_states=True,
  output_scores=True,
  output_past=True,
  return_dict=True,
  return_dict_in_generate=True,
  use_cache=False,
  id2label={'0': 'no', '1': 'maybe', '2': 'yes'},
  label2id=dict(no=0, maybe=1, yes=2),
  num_labels=3,
  _num_labels=3,
  problem_type='regression',
  finetuning_task='mnli',
  classifier_dropout=0.3,
  classifier_dropout_prob=0.3,
  seq_classif_dropout=0.3,
  qa_dropout=0.3,
  embd_pdrop=0.3,
  summary_first_dropout=0.3,
  summary_type='mean',
  summary_use_proj=False,
  summary_activation='tanh',
  summary_proj_to_labels=False,
  dtype='float16',
  torch_dtype='bfloat16',
  use_bfloat16=True,
  gradient_checkpointing=True,
  torchscript=True,
  xla_device=True,
  tf_legacy_loss=True,
  pretraining_tp=2,
  chunk_size_feed_forward=0,
  _attn_implementation_autoset=True,
  sinusoidal_pos_embds=True,
  tie_weights_=True,
  tie_encoder_decoder=True,
  vocab_size_or_config_json_file=99,
  n_ctx=99,
  directionality='bidi',
  pooler_fc_size=768,
  pooler_num_attention_heads=12,
  pooler_num_fc_layers=3,
  pooler_size_per_head=128,
  pooler_type='first_token_transform',
  down_scale_factor=1,
  gap_size=0,
  net_structure_type=0,
  num_memory_blocks=0,
  is_llama_config=True,
  predict_special_tokens=True,
  n_special=0,
  summary_last_dropout=0.3,
  embedding_dropout=0.3,
  mlp_dropout=0.3,
  deterministic_flash_attn=True,
  reference_compile=False,
  repad_logits_with_grad=True,
  sparse_prediction=True,
  sparse_pred_ignore_index=-1,
  initializer_cutoff_factor=3.0,
)
# Values that would change the numbers: each is refused by the name of its key.
REFUSED = {
  'bert': [
    dict(is_decoder=True),
    dict(position_embedding_type='relative_key_query'),
    dict(is_encoder_decoder=True),
    dict(add_cross_attention=True),
    dict(cross_attention_hidden_size=24),
    dict(pruned_heads={'0': [1]}),
    dict(layers_to_keep=[0]),
    dict(per_layer_config={'0': dict(hidden_size=12)}),
    dict(quantization_config=dict(quant_method='fp8')),
    dict(tie_last_hidden_states=False),
    dict(fusion_config=dict(patch_embeddings=True)),
    dict(prefix='Once'),
    dict(attn_implementation='user/kernel'),
    dict(sliding_window=0),
    dict(embedding_size=24),
    dict(hidden_act='gelu_10'),
    dict(layer_norm_eps=float('nan')),
    dict(auto_map={'AutoModel': 'other.Model'}),
  ],
  'roberta': [dict(pad_token_id=0), dict(pad_token_id=None), dict(hidden_act='relu')],
  'jina_embeddings_v3': [
    dict(hidden_act='relu'),
    dict(rope_theta=5.0, rope_scaling=dict(type='linear', factor=2.0)),
  ],
  'distilbert': [dict(hidden_size=12), dict(layer_norm_eps=1e-3)],
  'albert': [dict(num_hidden_groups=2), dict(inner_group_num=2)],
  'gpt2': [
    dict(scale_attn_weights=False),
    dict(scale_attn_weights=None),
    dict(scale_attn_by_inverse_layer_idx=True),
    dict(reorder_and_upcast_attn=True),
    dict(n_head=2, num_attention_heads=4),
    dict(hidden_act='relu'),
  ],
  'llama': [
    dict(attention_bias=True),
    dict(attention_bias=None),
    dict(mlp_bias=True),
    dict(rope_interleaved=True),
    dict(rope_scaling=dict(type='linear', factor=2.0)),
    dict(rope_scaling=dict(rope_type='dynamic', factor=2.0)),
    dict(rope_parameters=dict(rope_type='yarn', factor=4.0)),
    dict(rope_parameters=dict(rope_type='llama3', factor=8.0)),
    dict(rope_parameters=dict(rope_type='default', factor=8.0)),
    dict(rope_parameters=dict(full_attention=dict(rope_type='default'))),
    dict(rope_parameters=[5]),
    dict(partial_rotary_factor=0.5),
    dict(rope_parameters=dict(rope_type='default', partial_rotary_factor=0.5)),
    dict(layer_types=['full_attention', 'sliding_attention']),
    dict(sliding_window=4),
  ],
  'modernbert': [
    dict(layer_types=['full_attention', 'sliding_attention'] * 2, global_attn_every_n_layers=3),
    dict(layer_types=['sliding_attention', 'full_attention'] * 2),
    dict(layer_types=['full_attention', 'chunked_attention'] * 2),
    dict(layer_types=['full_attention']),
    dict(layer_types=3),
    dict(global_attn_every_n_layers=0),
    dict(global_attn_every_n_layers=True),
    dict(num_hidden_layers='4'),
    dict(local_attention=1),
    dict(local_attention=-1),
    dict(local_attention=None),
    dict(sliding_window=6),
    dict(rope_scaling=dict(type='linear', factor=2.0)),
    dict(rope_parameters=dict(rope_type='default', rope_theta=5.0)),
    dict(rope_parameters=dict(full_attention=dict(rope_type='yarn', factor=4.0))),
    dict(rope_parameters=dict(sliding_attention=dict(rope_type='default', factor=4.0))),
    dict(rope_parameters=dict(full_attention=5)),
    dict(local_rope_theta=None),
    dict(rope_theta=10_000.0),
    dict(window=3),
    dict(hidden_activation='silu'),
    dict(classifier_activation='silu'),
    dict(classifier_pooling='late'),
    *(dict.fromkeys((key,), True) for key in ('attention_bias', 'mlp_bias', 'norm_bias')),
    dict(classifier_bias=True),
    dict(decoder_bias=False),
    dict(norm_eps='small'),
  ],
  'modernbert-decoder': [
    dict(local_attention=3),
    dict(local_attention=None),
    dict(sliding_window=4),
    dict(is_decoder=True),
    dict(decoder_bias=False),
  ],
  'xlm-roberta': [dict(pad_token_id=0), dict(hidden_act='relu'), dict(is_decoder=True)],
  'camembert': [dict(pad_token_id=0), dict(position_embedding_type='relative_key')],
  'electra': [dict(hidden_act='relu'), dict(is_decoder=True), dict(num_hidden_groups=1)],
  'openai-gpt': [dict(afn='gelu_new'), dict(n_inner=99), dict(scale_attn_weights=True)],
  'eurobert': [dict(mlp_bias=True), dict(rope_parameters=dict(rope_type='yarn', factor=4.0))],
}
# Values that are read.
READ = {
  'bert': [
    dict(hidden_act='gelu_python'),
    dict(hidden_act='gelu_accurate'),
    dict(hidden_act='gelu_fast'),
    dict(hidden_act='swish'),
    dict(layer_norm_eps=0.01),
    dict(is_decoder=False, pruned_heads={}),
    dict(attn_implementation='sdpa', position_embedding_type='absolute'),
  ],
  'jina_embeddings_v3': [
    dict(rope_theta=500.0),
    dict(rope_theta=500.0, rope_scaling=dict(rope_type='default')),
    dict(rope_parameters=dict(rope_type='default')),
  ],
  'distilbert': [dict(activation='relu'), dict(hidden_size=24, num_hidden_layers=2)],
  'gpt2': [
    dict(hidden_size=24, num_attention_heads=2, num_hidden_layers=2),
    dict(activation_function='relu', layer_norm_epsilon=0.01),
    dict(is_decoder=True),
    dict(n_inner=None),
  ],
  'llama': [
    dict(rope_theta=500.0),
    dict(rope_theta=500.0, rope_scaling=None),
    dict(rope_theta=500.0, rope_parameters=None),
    dict(rope_theta=500.0, rope_parameters={}),
    dict(rope_theta=500.0, rope_scaling=dict(type='default')),
    dict(rope_theta=500.0, rope_scaling=dict(rope_type='default')),
    dict(rope_scaling=dict(rope_type='default', rope_theta=500.0)),
    dict(rope_theta=50.0, rope_scaling=dict(rope_type='default', rope_theta=500.0)),
    dict(rope_theta=50.0, rope_parameters=dict(rope_type='default', rope_theta=500.0)),
    dict(rope_theta=500.0, rope_parameters=dict(rope_type='default')),
    dict(rope_theta=500.0, rope_parameters=dict(type='default')),
    dict(rope_parameters=dict(rope_theta=500.0)),
    dict(
      rope_scaling=dict(rope_type='default', rope_theta=500.0),
      rope_parameters=dict(rope_type='default', rope_theta=50.0),
    ),
    dict(partial_rotary_factor=1.0),
    dict(head_dim=None, num_key_value_heads=1),
    dict(attention_bias=False, mlp_bias=False),
  ],
  'modernbert': [
    dict(layer_types=None, global_attn_every_n_layers=2),
    dict(layer_types=['sliding_attention'] * 4),
    dict(layer_types=['full_attention'] * 4),
    dict(layer_types=None, global_attn_every_n_layers=9),
    dict(local_attention=3),
    dict(rope_parameters=None, global_rope_theta=50.0, local_rope_theta=20.0),
    dict(rope_parameters=dict(full_attention=dict(rope_type='default', rope_theta=5.0))),
    dict(norm_eps=0.01, classifier_pooling='mean'),
  ],
  'modernbert-decoder': [
    dict(local_attention=4, sliding_window=2),
    dict(layer_types=None, global_attn_every_n_layers=2),
    dict(rope_parameters=None, global_rope_theta=50.0, local_rope_theta=20.0),
  ],
  'electra': [dict(layer_norm_eps=0.01)],
  'openai-gpt': [dict(afn='relu'), dict(afn='swish', layer_norm_epsilon=0.01)],
  'eurobert': [dict(rope_theta=500.0), dict(num_key_value_heads=1, hidden_act='gelu_new')],
}


class Folder(NamedTuple):
  """A folder of a model that a variant changes: config.json, tensors, and the path to write to."""

  path: Path
  config: dict
  tensors: dict[str, np.ndarray]

  def named(self, part: str) -> str:
    """The first tensor whose name holds a text."""
    return next(name for name in sorted(self.tensors) if part in name)


def logits(ours) -> np.ndarray:
  """BxTxV of every position of two rows."""
  batch = _batch(ours.config.segment_types)
  head = 'mlm' if 'mlm' in ours.heads else 'clm'
  hidden, table, bias = _applied(ours.config, ours.mask, ours.heads)(ours.params, batch)[head]
  scores = np.einsum('BPE,VE->BPV', hidden, table)
  return scores if bias is None else scores + np.asarray(bias)


@functools.cache
def _applied(config, mask, heads):
  network = make_network(config, mask=mask, packed=False, heads=heads)
  return jax.jit(lambda params, batch: network.apply(params, batch))


def _tokens() -> np.ndarray:
  return np.random.default_rng(0).integers(3, V, (2, T)).astype(np.int32)


def _batch(types: int) -> dict:
  kind = np.tile(np.arange(T) > 4, (2, 1)).astype(np.int32) * (types > 1)
  place = np.tile(np.arange(T), (2, 1))
  batch = small.batch(_tokens()) | dict(type=kind, mlm_position=place)
  return jax.tree.map(jnp.asarray, batch)


# --- without the library -----------------------------------------------------------------------


def test_each_key_is_sorted_once():
  listed = ' '.join(keys.INERT.values()).split()
  assert len(listed) == len(set(listed))
  for family in families.FAMILIES.values():
    read = {key for key, _ in family.read.values()}
    held = keys.MUST.keys() | family.must.keys()
    assert not set(listed) & read and read & held <= {'hidden_act', 'hidden_activation'}
    assert not (set(listed) & held) - {'pad_token_id'}  # RoBERTa's positions begin after it


def test_each_inert_key_is_tried():
  untried = set(' '.join(keys.INERT.values()).split()) - INERT.keys()
  ours = 'architectures model_type bos_token_id eos_token_id pad_token_id'.split()
  assert untried - set(ours) <= {
    'epsilon_cutoff', 'eta_cutoff', 'encoder_repetition_penalty', 'force_bos_token_to_be_generated',
    'assistant_confidence_threshold', 'assistant_lookbehind', 'num_assistant_tokens',
    'num_assistant_tokens_schedule', 'target_lookbehind', 'use_return_dict',
    '_pre_quantization_dtype',
  }  # fmt: skip


@pytest.mark.parametrize(
  'family, changes', [(family, changes) for family in REFUSED for changes in REFUSED[family]]
)
def test_a_key_that_changes_the_numbers_is_refused_by_name(family, changes):
  theirs = dict(model_type=family) | CLASSES[family][1] | changes
  with pytest.raises(WeightsError) as error:
    families.read(theirs, 'config.json')
  assert any(key in str(error.value) for key in changes)
  families.read(dict(model_type=family) | CLASSES[family][1], 'config.json')


# --- against transformers ----------------------------------------------------------------------


def _tied(folder: Folder) -> tuple[str, str]:
  """(the output's weight, the embedding it is tied to)."""
  output = dict(
    bert='cls.predictions.decoder.weight',
    roberta='lm_head.decoder.weight',
    jina_embeddings_v3='lm_head.decoder.weight',
    distilbert='vocab_projector.weight',
    albert='predictions.decoder.weight',
    gpt2='lm_head.weight',
    llama='lm_head.weight',
  ).get(folder.config['model_type'], 'decoder.weight')
  embedding = next(
    name
    for name in folder.tensors
    if 'word_embeddings' in name or 'wte' in name or 'embed_' in name or 'tok_' in name
  )
  return output, embedding


def _other(x: np.ndarray) -> np.ndarray:
  return x + np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)


def copied_output(folder: Folder):
  output, embedding = _tied(folder)
  folder.config['tie_word_embeddings'] = True
  folder.tensors[output] = folder.tensors[embedding].copy()


def other_output(folder: Folder):
  output, embedding = _tied(folder)
  folder.config['tie_word_embeddings'] = True
  folder.tensors[output] = _other(folder.tensors[embedding])


def output_alone(folder: Folder):
  output, embedding = _tied(folder)
  folder.config['tie_word_embeddings'] = True
  folder.tensors[output] = folder.tensors.pop(embedding)


def untied(folder: Folder):
  other_output(folder)
  folder.config['tie_word_embeddings'] = False
  output, _ = _tied(folder)
  if output.endswith('.decoder.weight'):
    bias = output.replace('decoder.weight', 'bias')
    folder.tensors[output.replace('weight', 'bias')] = _other(folder.tensors[bias])


def copied_bias(folder: Folder):
  bias = _tied(folder)[0].replace('decoder.weight', 'bias')
  folder.tensors[bias.replace('bias', 'decoder.bias')] = folder.tensors[bias].copy()


def other_bias(folder: Folder):
  bias = _tied(folder)[0].replace('decoder.weight', 'bias')
  folder.tensors[bias.replace('bias', 'decoder.bias')] = _other(folder.tensors[bias])


def other_bias_alone(folder: Folder):
  other_bias(folder)
  del folder.tensors[_tied(folder)[0].replace('decoder.weight', 'bias')]


def without_prefix(folder: Folder):
  prefix = families.FAMILIES[folder.config['model_type']].prefix
  for name in list(folder.tensors):
    folder.tensors[name.removeprefix(prefix)] = folder.tensors.pop(name)


def prefix_everywhere(folder: Folder):
  prefix = families.FAMILIES[folder.config['model_type']].prefix
  for name in list(folder.tensors):
    folder.tensors[prefix + name.removeprefix(prefix)] = folder.tensors.pop(name)


def both_names(folder: Folder):
  prefix = families.FAMILIES[folder.config['model_type']].prefix
  for name in [name for name in folder.tensors if name.startswith(prefix)]:
    folder.tensors[name.removeprefix(prefix)] = folder.tensors[name].copy()


def both_names_differ(folder: Folder):
  both_names(folder)
  embedding = _tied(folder)[1]
  folder.tensors[embedding] = _other(folder.tensors[embedding])


def old_norms(folder: Folder):
  for name in [name for name in folder.tensors if 'LayerNorm.' in name]:
    new = name.replace('LayerNorm.weight', 'LayerNorm.gamma')
    folder.tensors[new.replace('LayerNorm.bias', 'LayerNorm.beta')] = folder.tensors.pop(name)


def both_norms(folder: Folder):
  name = folder.named('LayerNorm.weight')
  folder.tensors[name.replace('weight', 'gamma')] = folder.tensors[name].copy()


def both_norms_differ(folder: Folder):
  name = folder.named('LayerNorm.bias')
  folder.tensors[name.replace('bias', 'beta')] = _other(folder.tensors[name])


def gamma_elsewhere(folder: Folder):
  name = folder.named('norm.weight' if folder.config['model_type'] != 'gpt2' else 'ln_f.weight')
  folder.tensors[name.replace('weight', 'gamma')] = folder.tensors.pop(name)


def buffers(folder: Folder):
  kind = folder.config['model_type']
  name = dict(
    gpt2='transformer.h.0.attn.bias', llama='model.layers.0.self_attn.rotary_emb.inv_freq'
  )
  folder.tensors[name.get(kind, f'{kind}.embeddings.position_ids')] = np.ones((1, 4), np.float32)


def half(folder: Folder):
  for name, x in folder.tensors.items():
    folder.tensors[name] = x.astype(np.float16)


def stranger(folder: Folder):
  folder.tensors['some.other.weight'] = np.ones((3,), np.float32)


def whole_and_index(folder: Folder):
  """An index and shards of other values lie beside model.safetensors."""
  shards(folder)
  for name, x in folder.tensors.items():
    folder.tensors[name] = _other(x)


def shards(folder: Folder):
  names = sorted(folder.tensors)
  parts = {'a.safetensors': names[::2], 'b.safetensors': names[1::2]}
  for file, part in parts.items():
    save_file({name: folder.tensors[name] for name in part}, folder.path / file, _PT)
  files = {name: file for file, part in parts.items() for name in part}
  index = dict(metadata={}, weight_map=files)
  (folder.path / 'model.safetensors.index.json').write_text(json.dumps(index))


def only_shards(folder: Folder):
  shards(folder)
  folder.tensors.clear()


def beside(folder: Folder):
  """Files that are not read: a pickle, a variant, another framework's."""
  (folder.path / 'pytorch_model.bin').write_bytes(b'no pickle')
  (folder.path / 'tf_model.h5').write_bytes(b'no weights')
  other = {name: _other(x) for name, x in folder.tensors.items()}
  save_file(other, folder.path / 'model.fp16.safetensors', _PT)


def named_file(folder: Folder):
  folder.config['transformers_weights'] = 'mine.safetensors'
  save_file(folder.tensors, folder.path / 'mine.safetensors', _PT)
  for name, x in folder.tensors.items():
    folder.tensors[name] = _other(x)


def named_index(folder: Folder):
  shards(folder)
  index = folder.path / 'model.safetensors.index.json'
  index.rename(folder.path / 'mine.safetensors.index.json')
  folder.config['transformers_weights'] = 'mine.safetensors.index.json'
  folder.tensors.clear()


def named_outside(folder: Folder):
  folder.config['transformers_weights'] = '../mine.safetensors'


def only_a_variant(folder: Folder):
  save_file(folder.tensors, folder.path / 'model.fp16.safetensors', _PT)
  folder.tensors.clear()


def only_a_pickle(folder: Folder):
  beside(folder)
  (folder.path / 'model.fp16.safetensors').unlink()
  folder.tensors.clear()


def adapter(folder: Folder):
  (folder.path / 'adapter_config.json').write_text(json.dumps(dict(peft_type='LORA')))


_PT = dict(format='pt')
_ALL = _EVERY_VARIANT
_MODERNS = ('modernbert', 'modernbert-decoder')
_DECODER_BIAS = ('bert', 'roberta', 'albert')
_COPIES = (*_DECODER_BIAS, 'jina_embeddings_v3')
# What is done to a folder -> families, and the text of the refusal (None: the numbers are theirs).
TENSORS = {
  copied_output: ((*_ALL, *_MODERNS), None),
  other_output: ((*_ALL, *_MODERNS), None),
  output_alone: (_ALL, None),
  untied: ((*_ALL, *_MODERNS), None),
  copied_bias: (_COPIES, None),
  other_bias: (_COPIES, None),
  other_bias_alone: (_COPIES, None),
  without_prefix: (_ALL, None),
  prefix_everywhere: ((*_ALL, *_MODERNS), None),
  both_names: (_ALL, None),
  both_names_differ: (_ALL, 'under two names'),
  old_norms: (_DECODER_BIAS, None),
  both_norms: (_DECODER_BIAS, None),
  both_norms_differ: (_DECODER_BIAS, 'LayerNorm.beta and '),
  gamma_elsewhere: (('distilbert', 'gpt2', 'llama'), '.gamma'),
  buffers: (_ALL, None),
  half: (_ALL, None),
  stranger: (_ALL, 'some.other.weight'),
  whole_and_index: (('bert', 'llama'), None),
  only_shards: (_ALL, None),
  beside: (_ALL, None),
  named_file: (('bert', 'gpt2'), None),
  named_index: (('bert', 'gpt2'), None),
  named_outside: (('bert',), 'within it'),
  only_a_variant: (('bert',), 'model.fp16.safetensors'),
  only_a_pickle: (('bert',), 'pytorch_model.bin'),
  adapter: (('bert',), 'adapter_config.json'),
}
VARIANTS = (
  [
    # each inert key goes to one family after the other
    pytest.param(_ALL[number % len(_ALL)], {key: value}, None, id=f'inert-{key}')
    for number, (key, value) in enumerate(INERT.items())
  ]
  + [
    pytest.param('modernbert', {key: INERT[key]}, None, id=f'modernbert-{key}')
    for key in ('mlp_dropout', 'sparse_prediction', 'deterministic_flash_attn')
  ]
  + [
    pytest.param(family, changes, None, id=f'{family}-{number}')
    for family, listed in READ.items()
    for number, changes in enumerate(listed)
  ]
  + [
    pytest.param(family, change, refusal, id=f'{family}-{change.__name__}')
    for change, (kinds, refusal) in TENSORS.items()
    for family in kinds
  ]
)


@pytest.fixture(scope='module')
def born(tmp_path_factory):
  """(transformers, {family: a folder that it wrote})."""
  torch = pytest.importorskip('torch', reason='needs the extra parity')
  transformers = pytest.importorskip('transformers', reason='needs the extra parity')
  folders = {}
  for family, (architecture, fields) in CLASSES.items():
    torch.manual_seed(0)
    kind = getattr(transformers, architecture)
    model = kind(kind.config_class(**fields))
    with torch.no_grad():
      for x in model.parameters():
        if x.ndim == 1:  # born as zeros and ones, which would hide a mistake
          x.add_(0.3 * torch.randn_like(x))
    folders[family] = tmp_path_factory.mktemp(family)
    model.save_pretrained(folders[family])
  return transformers, folders


def theirs(transformers, family: str, path: Path) -> np.ndarray:
  """The logits of transformers."""
  import torch

  kind = getattr(transformers, CLASSES[family][0])
  model = kind.from_pretrained(path, dtype=torch.float32, attn_implementation='eager').eval()
  token = torch.tensor(_tokens()).long()
  more = {}
  if getattr(model.config, 'type_vocab_size', 0) > 1:
    more = dict(token_type_ids=torch.tensor(np.array(_batch(2)['type'])).long())
  with torch.no_grad():
    return model(input_ids=token, **more, return_dict=True).logits.numpy()


@pytest.mark.parametrize('family, change, refusal', VARIANTS)
@pytest.mark.filterwarnings('ignore')
def test_the_numbers_are_theirs_or_it_is_refused_by_name(family, change, refusal, born, tmp_path):
  transformers, folders = born
  path = tmp_path / 'model'
  shutil.copytree(folders[family], path)
  config = json.loads((path / 'config.json').read_text())
  folder = Folder(path, config, load_file(path / 'model.safetensors'))
  if callable(change):
    change(folder)
  else:
    config |= change
    if 'rope_theta' in change or 'rope_scaling' in change:
      if 'rope_parameters' not in change:
        del config['rope_parameters']
  (path / 'config.json').write_text(json.dumps(config))
  (path / 'model.safetensors').unlink()
  if folder.tensors:
    save_file(folder.tensors, path / 'model.safetensors', _PT)
  if refusal is not None:
    with pytest.raises(WeightsError) as error:
      load.load_huggingface(path)
    assert refusal in str(error.value)
    return
  expected = theirs(transformers, family, path)
  found = logits(load.load_huggingface(path))
  np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_albert_with_an_embedding_as_wide_as_its_layers(born, tmp_path):
  import torch

  transformers, _ = born
  torch.manual_seed(0)
  config = transformers.AlbertConfig(**_BERT, embedding_size=24)
  transformers.AlbertForMaskedLM(config).save_pretrained(tmp_path)
  expected = theirs(transformers, 'albert', tmp_path)
  found = logits(load.load_huggingface(tmp_path))
  np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


def test_enough_is_tried(capsys):
  refusals = sum(len(listed) for listed in REFUSED.values())
  with capsys.disabled():
    print(f'\n{len(VARIANTS) + 1 + refusals} configs and tensors against transformers')
  assert len(VARIANTS) >= 100


def test_every_key_of_the_installed_library_is_sorted():
  transformers = pytest.importorskip('transformers', reason='needs the extra parity')
  import dataclasses

  for name, family in families.FAMILIES.items():
    kind = transformers.CONFIG_MAPPING[name]
    sorted_keys = {
      *' '.join(keys.INERT.values()).split(),
      *keys.MUST,
      *family.must,
      *family.aliases,
      *(alternating.KEYS if family.alternating else ()),
      *(['classifier_pooling'] if family.poolings else ()),
      *(key for key, _ in family.read.values()),
      'rope_parameters',
    }
    assert {field.name for field in dataclasses.fields(kind)} <= sorted_keys
    assert set(kind.attribute_map) <= sorted_keys
