"""A trained network from wherever it is: a Hugging Face directory or a workdir of ours."""

from pathlib import Path
from typing import Any, NamedTuple

from configs import base
from data import tokenizer as tokenizers
from interop import families, files, huggingface
from interop.errors import WeightsError
from models.config import ModelConfig
from models.network import Network, from_paths, make_network, parameter_shapes


class Weights(NamedTuple):
  """A network with its parameters and its tokenizer.

  Attributes:
    heads: names of models.heads.HEADS that it has.
  """

  config: ModelConfig
  mask: str
  heads: tuple[str, ...]
  network: Network
  params: Any
  tokenizer: tokenizers.Tokenizer | None


def load_huggingface(directory: Path) -> Weights:
  """The model of a Hugging Face directory: config.json, safetensors, and tokenizer.json or vocab.txt.

  Raises:
    WeightsError: it is damaged, unsafe, or no model that this network can be.
  """
  family, fields = families.read(files.read_json(directory / 'config.json'), str(directory / 'config.json'))
  tensors = huggingface.plain_names(family, files.open_tensors(directory))
  heads = huggingface.heads_in(family, tensors)
  config = ModelConfig(**base.get_config().model.to_dict() | fields)
  network = make_network(config, mask=family.mask, packed=False, heads=heads)
  flat = huggingface.import_parameters(family, parameter_shapes(network), tensors, str(directory))
  return Weights(config, family.mask, heads, network, from_paths(flat), _tokenizer(directory, config))


def _tokenizer(directory: Path, config: ModelConfig) -> tokenizers.Tokenizer | None:
  found = [directory / name for name in ('tokenizer.json', 'vocab.txt') if (directory / name).exists()]
  if not found:
    return None
  settings = directory / 'tokenizer_config.json'
  lowercase = files.read_json(settings).get('do_lower_case', True) if settings.exists() else True
  tokenizer = tokenizers.load(found[0], lowercase=lowercase)
  if tokenizer.size > config.vocab_size:
    raise WeightsError(f'{found[0]} has {tokenizer.size:,} ids and the model {config.vocab_size:,}: they do not '
                       'belong together.')
  return tokenizer
