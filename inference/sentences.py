"""How texts become vectors, beside the network: what the files of a sentence encoder say of it."""

from typing import Any, NamedTuple


class Sentences(NamedTuple):
  """What published files say of the use of a sentence encoder.

  Attributes:
    begin, end: ids before and after each text.
    max_length: tokens of a text that are read, `begin` and `end` counted.
    prompts: what is put before texts of a kind, by name.
    default_prompt: name of the one that is put before each text; None: there is none.
    truncate_dim: how many dimensions of a vector are kept; None: all.
    similarity: how two vectors are compared, as sentence-transformers calls it.
  """

  begin: tuple[int, ...]
  end: tuple[int, ...]
  max_length: int
  prompts: dict[str, str]
  default_prompt: str | None
  truncate_dim: int | None
  similarity: str

  @classmethod
  def of_json(cls, fields: dict[str, Any]) -> 'Sentences':
    """The record of what `_asdict` gave, after it was JSON.

    Raises:
      TypeError: fields are missing or unknown.
    """
    return cls(**fields)._replace(begin=tuple(fields['begin']), end=tuple(fields['end']))
