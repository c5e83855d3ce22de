"""Where the texts of a published model begin and end, and what else its files ask of generation."""

from typing import Any, NamedTuple

from configs.schema.check import ConfigError

# Key of a generation_config.json -> our flag.
_FLAGS = dict(
  temperature='temperature',
  top_k='top_k',
  top_p='top_p',
  min_p='min_p',
  repetition_penalty='repetition_penalty',
  max_new_tokens='max_tokens',
)
# Keys that change no draw here: of beams, caches and outputs, of the length, and where it is from.
_INERT = frozenset(
  """
  transformers_version use_cache cache_implementation cache_config output_attentions output_scores
  output_hidden_states output_logits return_dict_in_generate return_legacy_cache do_sample
  num_return_sequences early_stopping length_penalty diversity_penalty num_beam_groups max_length
  low_memory remove_invalid_values decoder_start_token_id encoder_repetition_penalty
  encoder_no_repeat_ngram_size forced_decoder_ids is_assistant num_assistant_tokens
  num_assistant_tokens_schedule assistant_confidence_threshold assistant_lookbehind
  target_lookbehind prefill_chunk_size compile_config disable_compile max_time _from_model_config
""".split()
)
# Value of a key with which nothing is asked; None always is one.
_NEUTRAL = dict(
  temperature=1.0,
  top_p=1.0,
  min_p=0.0,
  typical_p=1.0,
  repetition_penalty=1.0,
  epsilon_cutoff=0.0,
  eta_cutoff=0.0,
  num_beams=1,
  min_length=0,
  no_repeat_ngram_size=0,
  guidance_scale=1.0,
  renormalize_logits=False,
  token_healing=False,
)


class Ends(NamedTuple):
  """What the files of a causal model say of generation.

  Attributes:
    begin: id that an empty prompt stands for; None: they say none.
    ends: ids, each of which ends a text; without one a text ends at the largest length.
    pad: id of padding, for exports.
    rules: the other keys, as they are written.
    source: name of the file.
  """

  begin: int | None
  ends: tuple[int, ...]
  pad: int | None
  rules: dict[str, Any]
  source: str

  def refuse_unknown(self):
    """Raises ConfigError where a rule is asked for that is not done here; it has the key's name."""
    undone = {key: value for key, value in self._asked().items() if key not in _FLAGS}
    if undone:
      raise ConfigError(
        f'{self.source} asks for {_listed(undone)}, which changes what is generated and is not '
        'done here. Remove the key there to generate without it.'
      )

  def advice(self) -> str | None:
    """What a person should know before generating; None where the file asks for nothing."""
    flags = [f'--{_FLAGS[key]}={value}' for key, value in self._asked().items()]
    lines = [] if not flags else [f'{self.source} asks for {" ".join(flags)}; the flags decide.']
    if not self.ends:
      lines.append(f'{self.source} names no eos_token_id: each text has --max_tokens tokens.')
    return '\n'.join(lines) or None

  def _asked(self) -> dict[str, Any]:
    return {
      key: value
      for key, value in self.rules.items()
      if key not in _INERT and value is not None and value != _NEUTRAL.get(key)
    }


def _listed(values: dict[str, Any]) -> str:
  return ', '.join(f'{key}={str(value)[:40]}' for key, value in values.items())
