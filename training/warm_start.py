"""Warm start: a run takes its initial parameters from another one; mask and objective may differ.

LLM2Vec turns a decoder into an encoder this way (BehnamGhader et al. 2024); it also turns BERT into
a generator.
"""

from etils import epath
import jax
from safetensors import numpy as safetensors

from data.tokens import pretrained
from models.network import by_path, from_paths, make_network
from runtime import records, storage, workdir
from runtime.errors import StateError
from training.experiment import Experiment, model_config, trained_heads
from training.load import load_params

_SHOWN = 6  # parameters that an error names


def begin_with(source: str, experiment: Experiment, params, mesh, say):
  """Returns the parameters of a run, taken from `source` where it has them.

  Embeddings and trunk must all be in `source`; a head that it lacks keeps its initial parameters.

  Args:
    source: workdir of a run, or of weights that tools.convert imported.
    params: initial parameters; their shardings are kept.
    say: called with a summary of what was taken, re-initialised and left out.

  Raises:
    StateError: `source` has no parameters, another tokenizer, or a trunk of another shape.
  """
  workdir.check_init_from(source)
  folder = epath.Path(storage.resolve_path(source, 'config.init_from'))
  _same_tokenizer(folder, experiment)
  config = workdir.read_config(source)
  if (folder / 'model.safetensors').exists():
    theirs, origin = safetensors.load((folder / 'model.safetensors').read_bytes()), str(folder)
  else:
    network = make_network(
      model_config(config),
      mask=config.mask,
      packed=False,
      heads=trained_heads(config),
    )
    config.mesh.update(**experiment.config.mesh.to_dict())
    found, step = load_params(config, network, source, mesh, step=None)
    theirs, origin = by_path(found), f'{folder} at step {step:,}'
  ours = by_path(params)
  differ = [
    f'{path} is {tuple(theirs[path].shape)} there and {tuple(ours[path].shape)} here'
    for path in sorted(ours.keys() & theirs.keys())
    if theirs[path].shape != ours[path].shape
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
  kept = {
    path: jax.device_put(theirs[path], ours[path].sharding) for path in ours if path in theirs
  }
  new = sorted({path.partition('/')[0] for path in ours.keys() - theirs.keys()})
  unused = sorted({path.partition('/')[0] for path in theirs.keys() - ours.keys()})
  before = '+'.join((config.mask, *sorted(config.objectives)))
  say(
    f'begins with {origin} ({before}), now {experiment.main}: {len(kept)} of {len(ours)} '
    'parameters kept'
    + (f'; re-initialised: {", ".join(new)}' if new else '')
    + (f'; left behind: {", ".join(unused)}' if unused else '')
    + '; the optimiser begins anew'
  )
  return from_paths(ours | kept)


def _common(path: str) -> bool:
  """Whether every network has this parameter, whatever its objectives."""
  return path.startswith(('embeddings/', 'trunk/'))


def _same_tokenizer(folder: epath.Path, experiment: Experiment):
  """Raises StateError unless `folder` was trained with this run's tokenizer."""
  if (folder / 'data.json').exists():
    theirs = records.read_fingerprint(folder / 'data.json')['tokenizer']
  elif (folder / 'tokenizer.json').exists():
    theirs = pretrained.load(
      folder / 'tokenizer.json', lowercase=experiment.config.data.lowercase
    ).sha256
  else:
    raise StateError(
      f'config.init_from={folder} has no tokenizer.json: what its embeddings stand '
      'for is not known.'
    )
  if theirs != experiment.prepared.tokenizer.sha256:
    raise StateError(
      f'config.init_from={folder} was trained with another tokenizer, so its embeddings mean '
      f'other tokens here. Use config.data.tokenizer={folder / "tokenizer.json"}.'
    )
