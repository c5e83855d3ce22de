"""Loads published models: folders of Hugging Face and of sentence-transformers."""

import dataclasses
from pathlib import Path
from typing import NamedTuple
import warnings

import numpy as np

from configs import base
from data.tokens import pretrained
from data.tokens.tokenizer import Tokenizer
from inference.model import Model
from inference.sentences import Sentences
from interop import families, files, generation, huggingface, sentence_folders, sizes, ties
from models.config import ModelConfig
from models.network import from_paths, make_network, parameter_shapes
from runtime import finite, storage
from runtime.errors import WeightsError
from training import labels


def is_huggingface(directory: Path) -> bool:
  """Whether a folder holds a model of Hugging Face or sentence-transformers, and no run.

  Raises:
    WeightsError: it has no config.json, or one that cannot be read.
  """
  return 'model_type' in files.read_json(sentence_folders.trunk(directory) / 'config.json')


class Described(NamedTuple):
  """A Hugging Face directory, its weights not yet read.

  Attributes:
    folder: in which the files of transformers lie; sentence-transformers may have it further down.
    theirs: its config.json.
    tensors: by their names, without what begins the names of the trunk.
    projection: parameters beside the trunk by our paths, as sentence-transformers keeps them.
    sentences: how texts become vectors, without the frame; None where no file says it.
    notes: what its user should know.
  """

  folder: Path
  theirs: dict
  family: families.Family
  config: ModelConfig
  heads: tuple[str, ...]
  tensors: dict[str, files.Tensor]
  projection: dict[str, files.Tensor]
  sentences: Sentences | None
  notes: tuple[str, ...]


def describe_huggingface(directory: Path) -> Described:
  """What a Hugging Face directory holds; no weights are read.

  Raises:
    WeightsError: as `load_huggingface`.
  """
  folder = sentence_folders.trunk(directory)
  where = str(folder / 'config.json')
  theirs = files.read_json(folder / 'config.json')
  family, fields = families.read(theirs, where)
  opened = files.open_tensors(storage.local(folder), theirs.get(files.NAMED))
  plain = huggingface.plain_names(family, opened, str(folder))
  tensors, tie, notes = ties.resolve(family, plain, fields['tie_embeddings'])
  architecture = labels.architecture(theirs)
  if architecture.endswith(huggingface.CHOICES):
    family = family.of_choices()
  heads = huggingface.heads_in(family, tensors, architecture, tie)
  fields |= huggingface.classes_in(family, tensors, heads) | dict(tie_embeddings=tie)
  config = ModelConfig(**base.get_config().model.to_dict() | fields)
  sizes.check(config, files.numbers(opened), where)
  found = sentence_folders.read(directory, config, theirs['model_type'])
  return Described(
    folder,
    theirs,
    family,
    dataclasses.replace(config, **found.fields),
    (*heads, 'vector') if found.projection else heads,
    tensors,
    found.projection,
    found.sentences,
    (*notes, *found.notes),
  )


def load_huggingface(directory: Path, *, mask: str | None = None) -> Model:
  """Loads a Hugging Face directory: config.json, safetensors, and the tokenizer if there is one.

  Args:
    mask: a mask to use in place of the family's.

  Raises:
    WeightsError: the directory is damaged or unsafe, or this network cannot compute the model.
  """
  described = describe_huggingface(directory)
  family, config, heads = described.family, described.config, described.heads
  for note in described.notes:
    warnings.warn(f'{directory}: {note}', stacklevel=2)
  mask = mask or family.mask
  network = make_network(config, mask=mask, packed=False, heads=heads)
  shapes = {
    path: shape
    for path, shape in parameter_shapes(network).items()
    if path not in described.projection
  }
  folder = described.folder
  flat = huggingface.import_parameters(family, shapes, described.tensors, str(folder))
  flat |= {path: tensor.read() for path, tensor in described.projection.items()}
  finite.check_weights(flat, str(directory))
  tokenizer = tokenizer_of(folder, config, described.theirs)
  adds_special_tokens = tokenizer is not None and tokenizer.adds_special_tokens
  return Model(
    config,
    mask,
    heads,
    network,
    from_paths(flat),
    tokenizer,
    add_bos=family.mask == 'bidirectional' or adds_special_tokens,
    source=str(directory),
    ends=generation.read(folder, described.theirs) if family.mask == 'causal' else None,
    labels=labels.of_huggingface(folder, described.theirs, family.mask, heads, config.classes),
    sentences=_framed(described.sentences, tokenizer, folder),
  )


def _framed(
  sentences: Sentences | None, tokenizer: Tokenizer | None, folder: Path
) -> Sentences | None:
  """With what the tokenizer puts around a text.

  Raises:
    WeightsError: a text has no room for it, or a prompt has a special token, which text never has.
  """
  if sentences is None or tokenizer is None:
    return sentences
  begin, end = tokenizer.frame
  if sentences.max_length < len(begin) + len(end):
    raise WeightsError(
      f'{folder} says that texts have {sentences.max_length} tokens at most, and its tokenizer '
      f'puts {len(begin) + len(end)} around each.'
    )
  special = [tokenizer.token(index) for index in np.flatnonzero(tokenizer.special_V)]
  for name, prompt in sentences.prompts.items():
    if found := [token for token in special if token in prompt]:
      raise WeightsError(
        f'{folder} has a prompt {name!r} with the special token {found[0]!r}. Text never becomes a '
        'special token here, so its vectors would differ.'
      )
  return sentences._replace(begin=begin, end=end)


def tokenizer_of(directory: Path, config: ModelConfig, theirs: dict) -> Tokenizer | None:
  """Loads the tokenizer of a folder; returns None if there is no vocabulary.

  Args:
    theirs: the config.json of a Hugging Face directory, {} of a workdir.

  Raises:
    WeightsError: it has more ids than the model.
  """
  tokenizer = pretrained.read(directory, theirs.get('model_type'), theirs.get('tokenizer_class'))
  if tokenizer is not None and tokenizer.size > config.vocab_size:
    raise WeightsError(
      f'the tokenizer of {directory} has {tokenizer.size:,} ids and the model '
      f'{config.vocab_size:,}: they do not belong together.'
    )
  return tokenizer
