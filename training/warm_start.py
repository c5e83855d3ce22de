"""Warm start: a run takes its initial parameters from another one; mask and objective may differ.

LLM2Vec turns a decoder into an encoder this way (BehnamGhader et al. 2024); it also turns BERT into
a generator.
"""

from collections.abc import Iterable
from typing import Any

from etils import epath
import jax
import numpy as np
from safetensors import numpy as safetensors

from configs.schema.check import ConfigError
from configs.schema.shapes import layer_numbers
from data.tokens import extension, pretrained
from data.tokens.tokenizer import Tokenizer
from data.tokens.vocabulary_files import NAMES
from interop import sentence_folders
from models.network import by_path, from_paths, make_network
from parallel import sharding
from runtime import json_file, records, storage, workdir
from runtime.errors import StateError
from training import new_entries, stacked
from training.experiment import Experiment
from training.frozen import model_config, trained_heads
from training.load import load_params
from training.published import is_huggingface, load_huggingface

_SHOWN = 6  # parameters that an error names


def begin_with(source: str, experiment: Experiment, params, mesh, say):
  """Returns the parameters of a run, taken from `source` where it has them.

  Embeddings and trunk must all be in `source`; a head that it lacks keeps its initial parameters.

  Args:
    source: workdir of a run, or of weights that tools.convert imported, or a Hugging Face
      directory.
    params: initial parameters, of all seeds; their shardings are kept.
    say: called with a summary of what was taken, re-initialised and left out.

  Raises:
    StateError: `source` has no parameters, another tokenizer, or a trunk of another shape.
  """
  workdir.check_origin(source)
  folder = epath.Path(storage.resolve_path(source, 'config.init_from'))
  old = _extended_vocabulary(folder, experiment)
  if old is None:
    check_tokenizer(folder, experiment, 'config.init_from')
  theirs, origin = _parameters(folder, experiment, mesh)
  ours = by_path(params)
  theirs = _with_chosen_layers(theirs, experiment.config)
  if old is not None:
    new = experiment.prepared.tokenizer
    theirs = new_entries.grown(theirs, ours, old, new, sharding.to_host)
  theirs, renewed = _with_a_fitting_head(theirs, ours, folder, experiment)
  several = experiment.config.finetune.seeds > 1
  shapes = {path: x.shape[1:] if several else x.shape for path, x in ours.items()}
  differ = [
    f'{path} is {tuple(theirs[path].shape)} there and {tuple(shapes[path])} here'
    for path in sorted(ours.keys() & theirs.keys())
    if theirs[path].shape != shapes[path]
  ]
  differ += [
    f'{path} is only here' for path in sorted(ours) if _common(path) and path not in theirs
  ]
  if differ:
    raise StateError(
      f'config.init_from={source}: its trunk is not the one of this config: '
      + '; '.join(differ[:_SHOWN])
      + '. Give config.model the same sizes.'
    )
  kept = {path: theirs[path] for path in ours if path in theirs}
  if several:
    kept = stacked.repeated(kept, ours)
  else:
    kept = {path: jax.device_put(x, ours[path].sharding) for path, x in kept.items()}
  new = sorted({path.partition('/')[0] for path in ours.keys() - theirs.keys()} | renewed)
  unused = sorted({_part(path) for path in theirs.keys() - ours.keys()} - renewed)
  say(
    f'begins with {origin}, now {experiment.main}: {len(kept)} of {len(ours)} '
    'parameters kept'
    + (f'; re-initialised: {", ".join(new)}' if new else '')
    + (f'; left behind: {", ".join(unused)}' if unused else '')
    + '; the optimiser begins anew'
  )
  return from_paths(ours | kept)


def _parameters(folder: epath.Path, experiment: Experiment, mesh) -> tuple[dict[str, Any], str]:
  """({path: array}, where they are from) of a folder with a model."""
  if is_huggingface(folder):
    model = load_huggingface(folder)
    return by_path(model.params), f'{folder} ({_described(model.mask, model.heads)})'
  config = workdir.read_config(folder)
  if (folder / 'model.safetensors').exists():  # an import: no objective of its config trained it
    theirs = safetensors.load((folder / 'model.safetensors').read_bytes())
    heads = (json_file.peek(folder / 'weights.json') or {}).get('heads', ())
    return theirs, f'{folder} ({_described(config.mask, heads)})'
  network = make_network(
    model_config(config), mask=config.mask, packed=False, heads=trained_heads(config)
  )
  config.mesh.update(**experiment.config.mesh.to_dict())
  found, step = load_params(config, network, folder, mesh, step=None)
  before = '+'.join((config.mask, *sorted(config.objectives)))
  return by_path(found), f'{folder} at step {step:,} ({before})'


def _with_chosen_layers(theirs: dict[str, Any], config) -> dict[str, Any]:
  """The parameters with the layers of `config.init_layers` alone, in that order.

  Raises:
    ConfigError: there is no such layer, or the layers share their parameters.
  """
  numbers = layer_numbers(config.init_layers)
  if not numbers:
    return theirs
  stacked = {path: array for path, array in theirs.items() if path.startswith('trunk/blocks/')}
  held = {array.shape[0] for array in stacked.values()}
  here = f'config.init_layers={config.init_layers!r}: '
  if len(held) != 1:
    raise ConfigError(f'{here}the layers of {config.init_from} are one, used several times.')
  [layers] = held
  if max(numbers) >= layers:
    raise ConfigError(f'{here}{config.init_from} has layers 0 to {layers - 1}.')
  chosen = np.array(numbers)
  return theirs | {path: array[chosen] for path, array in stacked.items()}


def _described(mask: str, heads: Iterable[str]) -> str:
  """What is known of weights from elsewhere."""
  return f'{mask}, heads: {", ".join(heads) or "none"}'


# Where a classifier of texts finds a pooler that was trained before, as BERT's was with NSP.
_POOLERS = ('nsp/pooler/', 'pool/dense/')
_CLASSIFIERS = ('sequence/classifier/', 'tokens/classifier/')


def _with_a_fitting_head(
  theirs: dict[str, Any], ours: dict[str, Any], folder: epath.Path, experiment: Experiment
) -> tuple[dict[str, Any], set[str]]:
  """(parameters with what a head for labels can take from them, heads of which a part is new).

  The pooler of a model that was trained with sentence pairs is that of the classifier, as in
  transformers. A classifier of other labels is left behind.
  """
  theirs = dict(theirs)
  for path in [path for path in ours if path.startswith('sequence/pooler/')]:
    for before in _POOLERS:
      other = before + path.removeprefix('sequence/pooler/')
      if path not in theirs and other in theirs:
        theirs[path] = theirs.pop(other)
  renewed = set()
  if experiment.labelled and not _same_labels(folder, experiment):
    for path in [path for path in theirs if path.startswith(_CLASSIFIERS)]:
      del theirs[path]
      renewed.add(path.partition('/')[0])
  return theirs, renewed & {path.partition('/')[0] for path in ours}


def _same_labels(folder: epath.Path, experiment: Experiment) -> bool:
  """Whether a folder's classifier was trained on labels of the same names."""
  if not (folder / 'labels.json').exists():
    return False
  known = records.read_labels(folder / 'labels.json')
  task = experiment.prepared.task
  return known['classes'] == list(task.classes) and known['labels'] == task.labels


def _part(path: str) -> str:
  """What of a network a parameter belongs to: a head, or a table of the embeddings."""
  return path if path.startswith('embeddings/') else path.partition('/')[0]


def _common(path: str) -> bool:
  """Whether every network has this parameter, whatever its objectives."""
  return path.startswith(('embeddings/', 'trunk/'))


def _extended_vocabulary(folder: epath.Path, experiment: Experiment) -> Tokenizer | None:
  """The vocabulary of `folder`, if this run's is that one with new entries.

  Raises:
    StateError: the run extends another vocabulary.
  """
  asked = extension.parse(experiment.config.data.tokenizer)
  if asked is None:
    return None
  within = sentence_folders.trunk(folder)
  found = [name for name in NAMES if (within / name).exists()]
  lowercase = experiment.config.data.lowercase
  old = pretrained.load(within / found[0], lowercase=lowercase) if found else None
  if old is None or not extension.extends(experiment.prepared.tokenizer, old):
    raise StateError(
      f'config.init_from={folder} was not trained with the vocabulary that '
      f'config.data.tokenizer=extend:{asked.path}+{asked.count} extends. Extend '
      f'{within / "tokenizer.json"}.'
    )
  return old


def check_tokenizer(folder: epath.Path, experiment: Experiment, knob: str):
  """Raises StateError unless `folder`, which `knob` names, has this run's tokenizer."""
  within = sentence_folders.trunk(folder)
  found = [name for name in NAMES if (within / name).exists()]
  if (folder / 'data.json').exists():
    theirs = records.read_fingerprint(folder / 'data.json')['tokenizer']
  elif found:
    lowercase = experiment.config.data.lowercase
    theirs = pretrained.load(within / found[0], lowercase=lowercase).sha256
  else:
    raise StateError(
      f'{knob}={folder} has no tokenizer.json: what its embeddings stand for is not known.'
    )
  if theirs != experiment.prepared.tokenizer.sha256:
    raise StateError(
      f'{knob}={folder} was trained with another tokenizer, so its embeddings mean '
      f'other tokens here. Use config.data.tokenizer={within / "tokenizer.json"}.'
    )
