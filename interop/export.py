"""Exports a model as a directory that transformers or sentence-transformers load, with its card.

The classes are those of the libraries; no code of ours is needed to load it.
"""

import json
from pathlib import Path
from typing import Any
import warnings

import jax
import numpy as np

from configs import base
from configs.schema import check
from inference import framing
from inference.labels import Labels
from inference.model import Model, Tokenizer
from interop import card, files, generation, huggingface, sentence_export
from interop.describe import OF_VECTORS, describe, labelled_alone, tuned
from models.network import by_path
from runtime.errors import WeightsError


def export(
  model: Model, workdir: Path, to: Path, *, sentences: bool = False
) -> tuple[tuple[str, ...], int]:
  """Writes the directory `to`; returns the heads and the number of parameters that are in it.

  Args:
    workdir: where the model was loaded from; its records go into the manifest.
    sentences: export for sentence-transformers (trunk and vectors), not for transformers.

  Raises:
    WeightsError: no class of the library computes this network, or `to` is not empty.
  """
  if to.exists() and any(to.iterdir()):
    raise WeightsError(f'{to} is not empty. Name a new folder.')
  if model.ahead and not sentences:
    raise WeightsError(
      f'{model.source} was trained with mntp: it fills a blank from the position before, where no '
      'stock class looks. --export=sentence-transformers, without the head, works.'
    )
  tokenizer = model.need_tokenizer()
  encoder = model.mask == 'bidirectional'
  if sentences:
    sentence_export.check(model)
  ids = dict(pad_token_id=tokenizer.pad)
  rules = {}
  if not encoder:
    ids |= dict(bos_token_id=tokenizer.bos, eos_token_id=tokenizer.eos)
    if model.ends is not None:  # it was imported: what its files said
      ids, rules = generation.write(model.ends), model.ends.rules
  over = [head for head in model.heads if head in OF_VECTORS]
  heads = tuple(head for head in model.heads if head not in OF_VECTORS)
  params = {path: np.asarray(jax.device_get(x)) for path, x in by_path(model.params).items()}
  if sentences:  # the trunk alone, and its pooler if there is one
    params = {path.replace('nsp/pooler', 'pool/dense'): x for path, x in params.items()}
    heads = ('pool',) if {'nsp', 'pool'} & set(heads) else ()
    kept = ('embeddings', 'trunk', *heads)
    params = {path: x for path, x in params.items() if path.partition('/')[0] in kept}
  heads, aside = labelled_alone(heads)
  labels = None if sentences else model.labels
  if labels is None and not sentences and model.step is not None and tuned(heads):
    raise WeightsError(
      f'{workdir} has no labels.json, so the outputs of the head {heads[0]!r} have no names: bring '
      'a copy back, from another copy of the run.'
    )
  if labels:
    ids |= dict(pad_token_id=framing.padding(model))
  family, theirs = describe(
    vars(model.config),
    base.get_config().model.to_dict(),
    model.mask,
    heads,
    ids,
    labels=labels,
    pooling=labels.pooling if labels else '',
    choices=bool(labels) and labels.kind == 'choices',
  )
  lost = [*aside, *(head for head in heads if head in family.left_out)]
  lost += [] if sentences else over
  for head in lost:
    warnings.warn(f'{theirs["architectures"][0]} has no head {head}: left out.', stacklevel=2)
  params = {path: x for path, x in params.items() if path.partition('/')[0] not in lost}
  if model.config.shared_layers and not family.fixed.get('shared_layers'):
    params = {path: _repeated(path, x, model.config.layers) for path, x in params.items()}
  tensors = huggingface.export_parameters(
    family, params, tuple(head for head in heads if head not in lost)
  )
  texts = _tokenizer(tokenizer, model, labels, sentences)
  to.mkdir(parents=True, exist_ok=True)
  _write(to / 'config.json', theirs)
  if 'clm' in heads:
    _write(to / generation.NAME, ids | rules)
  files.save_tensors(tensors, to / 'model.safetensors')
  for name, text in texts.items():
    (to / name).write_text(text, encoding='utf-8')
  if sentences:
    sentence_export.write(model, to)
  manifest = _manifest(model, workdir)
  _write(to / 'training_manifest.json', manifest)
  architecture = theirs['architectures'][0]
  written = tuple(head for head in heads if head not in lost)
  count = sum(x.size for x in params.values())
  if sentences:
    if 'vector' in model.heads:  # the modules after the Transformer compute it
      written = (*written, 'vector')
      count += sum(x.size for x in jax.tree.leaves(model.params.get('vector', {})))
    lost = [head for head in model.heads if head not in written]
  text = card.write(model, architecture, manifest, heads=written, lost=lost, sentences=sentences)
  (to / 'README.md').write_text(text, encoding='utf-8')
  return written, count


def _repeated(path: str, x: np.ndarray, layers: int) -> np.ndarray:
  """Returns a parameter of the one layer that all share, once for each of them."""
  return np.stack([x] * layers) if path.startswith('trunk/blocks/') else x


def _tokenizer(
  tokenizer: Tokenizer, model: Model, labels: Labels | None, sentences: bool
) -> dict[str, str]:
  """Returns tokenizer.json and the files about it that transformers reads, by name.

  An encoder frames each text with [CLS] and [SEP], a causal model only adds bos; a text that
  becomes a vector, or has a label, is framed as the model says.
  """
  encoder = model.mask == 'bidirectional'
  frame = (tokenizer.bos,), (tokenizer.eos,) if encoder else ()
  if sentences:
    frame = model.frame
  if labels:
    text = framing.text(model)
  else:
    text = tokenizer.framed_json(*frame) if sentences or model.add_bos else tokenizer.plain_json()
  ids = dict(pad_token=tokenizer.pad, mask_token=tokenizer.mask, unk_token=tokenizer.unknown)
  if encoder:
    ids |= dict(cls_token=tokenizer.bos, sep_token=tokenizer.eos)
  else:
    ids |= dict(bos_token=tokenizer.bos, eos_token=tokenizer.eos)
  specials = {role: tokenizer.token(id_) for role, id_ in ids.items() if id_ is not None}
  length = model.text_length if sentences else labels.max_length if labels else 0
  # Not TokenizersBackend, the class of transformers 5: older versions and vLLM do not have it.
  settings = specials | dict(
    tokenizer_class='PreTrainedTokenizerFast',
    model_max_length=length or model.context,
    clean_up_tokenization_spaces=False,
  )
  # said either way: transformers 5 leaves types out, and of a type 0 GPT-2 adds token 0
  types = ['token_type_ids'] if model.config.segment_types > 1 else []
  settings |= dict(model_input_names=['input_ids', *types, 'attention_mask'])
  texts = {
    'tokenizer.json': text,
    'special_tokens_map.json': _json(specials),
    'tokenizer_config.json': _json(settings),
  }
  words = [tokenizer.token(index) for index in range(tokenizer.size)]
  # A line is an id: there is no line for an id without a token, nor for a token with a line break.
  lines = '\n'.join(words) + '\n'
  if tokenizer.wordpiece and tokenizer.named_V.all() and lines.splitlines() == words:
    texts['vocab.txt'] = lines
  return texts


def _manifest(model: Model, workdir: Path) -> dict[str, Any]:
  """Returns the records of the training: config and its hash, data, results, software.

  Weights that came from elsewhere have none: the config.json beside them describes no training.
  """
  name = workdir.resolve().name
  if model.step is None:
    about = workdir / 'weights.json'
    source = files.read_json(about).get('source') if about.exists() else name
    return dict(name=name, source=Path(str(source)).name)
  known: dict[str, Any] = dict(name=name, source=f'{name}, step {model.step:,}')
  for name in ('config', 'data', 'labels', 'result', 'software'):
    if (workdir / f'{name}.json').exists():
      known[name] = files.read_json(workdir / f'{name}.json')
  known['config_sha256'] = check.config_hash(known['config'])
  if source := known['config'].get('init_from'):
    known['init_from'] = Path(source).name
  return known


def _json(value: dict[str, Any]) -> str:
  """Returns a JSON object as transformers writes it: two spaces, UTF-8."""
  return json.dumps(value, indent=2, ensure_ascii=False) + '\n'


def _write(path: Path, value: dict[str, Any]):
  path.write_text(_json(value), encoding='utf-8')
