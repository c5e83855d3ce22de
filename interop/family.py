"""What there is to know of one model_type of Hugging Face."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """One model_type of Hugging Face.

  Attributes:
    mask: the attention mask of the family, as in `config.mask`.
    read: our field -> (their key, their default).
    fixed: our field -> the value that it has in every model of the family.
    must: their key -> the values that this network implements; the key may also be absent. Beside
      `keys.MUST`, which all families share.
    heads: names of models.heads.HEADS that a model of the family may have, each with a tensor whose
      presence shows it (None: every model has the head).
    table: our parameter paths -> their names (interop/names.py).
    prefix: what the trunk's names begin with in a model with a head.
    prefixes: the same for a head whose class has another.
    aliases: other names of keys that transformers takes -> their key.
    left_out: heads without a place in the family's classes, which an export leaves out.
    conv: kernels are stored input x output (GPT-2's Conv1D), not output x input (torch's Linear).
    alternating: some layers have a window (interop/alternating.py).
    poolings: how its classifier of texts may read them, ours -> their `classifier_pooling`.
    choices: names in its class for multiple choice where they are not those of its classifier of
      texts, as in `table`; None: it has no such class.
  """

  mask: str
  read: dict[str, tuple[str, Any]]
  fixed: dict[str, Any]
  must: dict[str, tuple]
  heads: dict[str, str | None]
  table: dict[str, str]
  prefix: str
  prefixes: dict[str, str] = dataclasses.field(default_factory=dict)
  aliases: dict[str, str] = dataclasses.field(default_factory=dict)
  left_out: tuple[str, ...] = ()
  conv: bool = False
  alternating: bool = False
  poolings: dict[str, str] = dataclasses.field(default_factory=dict)
  choices: dict[str, str] | None = None

  def of_choices(self) -> 'Family':
    """The family as its class for multiple choice has it, if there is one."""
    return dataclasses.replace(self, table=self.table | (self.choices or {}))
