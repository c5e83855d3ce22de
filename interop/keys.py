"""What becomes of each key of a Hugging Face config.json: read, of one value only, or inert.

`families.FAMILIES` has what is read, and what must have one value in one family. Here is the rest:
the keys that the configuration classes of bert, roberta, distilbert, albert, gpt2 and llama have
had in transformers 2.0 to 5.23, those of the other families in 5.23, and those of well-known
published models. A key that is in no table is refused by name.
"""

from typing import Any

from runtime.errors import WeightsError

# Key -> the values with which it changes nothing; it may also be absent.
MUST: dict[str, tuple] = dict(
  is_encoder_decoder=(False,),
  add_cross_attention=(False,),
  cross_attention_hidden_size=(None,),
  pruned_heads=({}, None),
  layers_to_keep=([], None),
  per_layer_config=(None, {}),
  tie_last_hidden_states=(None,),
  fusion_config=(None, {}),
  quantization_config=(None,),
  prefix=(None, ''),  # transformers 2 to 4 put it before each prompt
  rope_interleaved=(False, None),
  attn_implementation=(None, 'eager', 'sdpa', 'flash_attention_2', 'flash_attention_3'),
  _attn_implementation=(None, 'eager', 'sdpa', 'flash_attention_2', 'flash_attention_3'),
  experts_implementation=(None, 'eager'),
)

_GENERATION = """
  max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty
  temperature top_k top_p typical_p epsilon_cutoff eta_cutoff repetition_penalty
  encoder_repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size
  bad_words_ids num_return_sequences forced_bos_token_id forced_eos_token_id
  force_bos_token_to_be_generated remove_invalid_values exponential_decay_length_penalty
  suppress_tokens begin_suppress_tokens assistant_confidence_threshold
  assistant_lookbehind num_assistant_tokens num_assistant_tokens_schedule target_lookbehind
"""

# Reason -> keys that change nothing of what the network computes from token ids.
INERT = {
  'says where the files come from': """
    _name_or_path name_or_path _commit_hash architectures model_type transformers_version
    tokenizer_class language license unsloth_fixed unsloth_version
  """,
  'ids, which the tokenizer and generation_config.json say': """
    bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id mask_token_id
    decoder_start_token_id prefix_token_id
  """,
  'how text is generated: interop/generation.py reads them': _GENERATION,
  'which outputs a call returns, and whether it keeps a cache': """
    output_attentions output_hidden_states output_scores output_past return_dict
    return_dict_in_generate use_cache use_return_dict
  """,
  'labels: their number is that of the rows of the classifier, their names are no weights': """
    id2label label2id num_labels _num_labels problem_type finetuning_task
  """,
  'dropout of parts that train here with one rate, or of heads; none when weights are used': """
    classifier_dropout classifier_dropout_prob seq_classif_dropout qa_dropout embd_pdrop
    summary_first_dropout summary_last_dropout embedding_dropout mlp_dropout
  """,
  'a second head, which is not read (GPT2DoubleHeadsModel): its weights are refused': """
    summary_type summary_use_proj summary_activation summary_proj_to_labels
  """,
  'how a program computes the same numbers': """
    dtype torch_dtype use_bfloat16 gradient_checkpointing torchscript xla_device tf_legacy_loss
    pretraining_tp chunk_size_feed_forward _attn_implementation_autoset _pre_quantization_dtype
    deterministic_flash_attn reference_compile repad_logits_with_grad sparse_prediction
    sparse_pred_ignore_index
  """,
  'how weights began or are stored: the file of weights has them': """
    sinusoidal_pos_embds tie_weights_ tie_encoder_decoder vocab_size_or_config_json_file
    initializer_cutoff_factor
  """,
  'written by other programs, read by no class': """
    n_ctx directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type down_scale_factor gap_size net_structure_type
    task_specific_params num_memory_blocks is_llama_config predict_special_tokens n_special
  """,
}
GENERATION = tuple(_GENERATION.split())
_INERT = frozenset(' '.join(INERT.values()).split())
# Types of rotary positions without any scaling.
_PLAIN = ('default',)


def check(theirs: dict[str, Any], must: dict[str, tuple], read: set[str], where: str):
  """Refuses a config.json with a key that is not known, or with a value that is not implemented.

  Args:
    must: of the family; it goes before `MUST`.
    read: the keys that are read.
    where: the path of the file, for messages.

  Raises:
    WeightsError: it names the keys.
  """
  allowed = MUST | must
  for key, values in allowed.items():
    if key in theirs and not any(_same(theirs[key], value) for value in values):
      raise WeightsError(
        f'{where} has {key}={theirs[key]!r}, which changes what the model computes; this network '
        f'has {key}={values[0]!r} only.'
      )
  known = _INERT | allowed.keys() | read
  unknown = sorted(key for key, value in theirs.items() if key not in known and value is not None)
  if unknown:
    raise WeightsError(
      f'{where} has keys that are not known here: {", ".join(map(repr, unknown))}. They may change '
      'what the model computes, so they are not ignored. Remove them if you know that they do not.'
    )


def rename(theirs: dict[str, Any], aliases: dict[str, str], where: str) -> dict[str, Any]:
  """Returns a config.json with the family's own names of keys.

  Args:
    aliases: other name -> the family's name (`attribute_map` in transformers).

  Raises:
    WeightsError: two names of one thing have different values.
  """
  renamed = dict(theirs)
  for alias, key in aliases.items():
    if alias in renamed:
      value = renamed.pop(alias)
      if key in renamed and not _same(renamed[key], value):
        raise WeightsError(
          f'{where} has {alias}={value!r} and {key}={renamed[key]!r}, which are one thing. Remove '
          'the wrong one.'
        )
      renamed[key] = value
  return renamed


def rotary(theirs: dict[str, Any], default: float, where: str) -> dict[str, Any]:
  """Returns a config.json whose one key of rotary positions is `rope_theta`.

  As transformers 5 does it: `rope_scaling`, if there is one, stands in for `rope_parameters`, and a
  base in there goes before the one beside it (`convert_rope_params_to_dict`).

  Args:
    default: the base where none is named.

  Raises:
    WeightsError: the positions are scaled, or partly rotary.
  """
  rest = {key: x for key, x in theirs.items() if key not in ('rope_parameters', 'rope_scaling')}
  key = 'rope_scaling' if theirs.get('rope_scaling') else 'rope_parameters'
  rope = theirs.get(key) or {}
  if not isinstance(rope, dict):
    raise WeightsError(f'{where} has {key}={rope!r}, which is no object.')
  kind = rope.get('rope_type', rope.get('type', 'default'))
  if kind not in _PLAIN:
    raise WeightsError(
      f'{where} has {key} with rope_type={kind!r}; this network has rope_type="default" only.'
    )
  for name, value in rope.items():
    if name not in ('rope_type', 'type', 'rope_theta', 'partial_rotary_factor'):
      raise WeightsError(
        f'{where} has {key} with {name}={value!r}, which rope_type="default" does not have.'
      )
  for holder, name in ((rest, ''), (rope, f'{key} with ')):
    if (share := holder.get('partial_rotary_factor')) not in (None, 1, 1.0):
      raise WeightsError(
        f'{where} has {name}partial_rotary_factor={share!r}; this network rotates whole heads only.'
      )
  rest.pop('partial_rotary_factor', None)
  base = rope.get('rope_theta', rest.get('rope_theta', default))
  return rest | dict(rope_theta=base)


def _same(value: Any, other: Any) -> bool:
  """Whether two values of JSON are equal, in their type too: 0 is not false."""
  return value == other and isinstance(value, bool) == isinstance(other, bool)
