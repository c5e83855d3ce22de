"""Loads a model from a Hugging Face directory, a run's workdir, or weights that were imported."""

from pathlib import Path

from etils import epath
import jax

from configs import base
from configs.schema import check
from inference.ends import Ends
from inference.model import Model
from inference.sentences import Sentences
from interop import files, sizes
from models.config import ModelConfig
from models.heads import HEADS
from models.network import Network, by_path, from_paths, make_network, parameter_shapes
from parallel import sharding
from runtime import finite, json_file, storage, workdir
from runtime.cli import FLAGS
from runtime.errors import StateError, WeightsError
from training import checkpoint, labels, stacked
from training.experiment import make_run_state
from training.frozen import fills_ahead, model_config, trained_heads
from training.published import is_huggingface, load_huggingface, tokenizer_of
from training.state import scored_params


def flag() -> Path | epath.Path:
  """Returns the path in --weights (or --workdir).

  Raises:
    ConfigError: the flag is not set.
    WeightsError: there is no such folder.
  """
  if not FLAGS.weights:
    raise check.ConfigError(
      '--weights=DIR is missing: a Hugging Face directory, or the workdir of a run.'
    )
  return existing(storage.resolve_path(FLAGS.weights, '--weights'))


def existing(directory: Path | epath.Path) -> Path | epath.Path:
  """Returns the folder of a model; raises WeightsError if there is none."""
  if not directory.is_dir():
    what = 'is a file' if directory.exists() else 'no such folder'
    raise WeightsError(
      f'{directory}: {what}. Name a Hugging Face directory, or the workdir of a run.'
      + storage.hub_advice(str(directory))
    )
  return directory


def load(directory: Path, *, step: int | None = None, mask: str | None = None) -> Model:
  """Loads a model from a Hugging Face directory, or a workdir of train.py or tools.convert.

  Args:
    step: which checkpoint of a run; None: the newest.
    mask: a mask to use in place of the model's own.

  Raises:
    WeightsError, StateError, ConfigError: there is no model, or none that can be read.
  """
  existing(directory)
  if is_huggingface(directory):
    return load_huggingface(directory, mask=mask)
  return _load_workdir(directory, step, mask)


def save(model: Model, directory: Path):
  """Writes a workdir that `load` reads, in our own format.

  It holds config.json, weights.json (heads and source), model.safetensors with our parameter
  paths as names, and tokenizer.json if the model has one.

  Raises:
    WeightsError: the directory is not empty.
  """
  if directory.exists() and any(directory.iterdir()):
    raise WeightsError(f'{directory} is not empty. Name a new folder.')
  config = base.get_config()
  with config.unlocked():
    config.objectives = {'clm': 1.0} if model.mask == 'causal' else {'mlm': 1.0}
  config.update(name='imported', mask=model.mask)
  config.model.update(vars(model.config))
  config.data.sequence_length = min(config.data.sequence_length, model.context)
  directory.mkdir(parents=True, exist_ok=True)
  files.save_tensors(
    {path: jax.device_get(x) for path, x in by_path(model.params).items()},
    directory / 'model.safetensors',
  )
  if model.tokenizer is not None:
    model.tokenizer.save(directory / 'tokenizer.json')
  about: dict = dict(heads=model.heads, framed=model.add_bos, source=model.source)
  if model.ends is not None:
    about |= dict(ends=model.ends._asdict())
  if model.labels is not None:
    about |= dict(labels=model.labels._asdict())
  if model.sentences is not None:
    about |= dict(sentences=model.sentences._asdict())
  storage.write_json(directory / 'weights.json', about)
  storage.write_json(directory / 'config.json', check.resolve(config))


def _load_workdir(directory: Path, step: int | None, mask: str | None) -> Model:
  config = workdir.read_config(directory)
  model = model_config(config)
  imported = (directory / 'weights.json').exists()
  about = _read_about(directory) if imported else {}
  heads = tuple(about['heads']) if imported else trained_heads(config)
  mask = mask or config.mask
  network = make_network(model, mask=mask, packed=False, heads=heads)
  if imported:
    params = _own_tensors(directory, network, model)
    source = f'{directory} (from {about.get("source")})'
  else:
    # The devices here need not be those of the training run.
    config.mesh.update(data=-1, fsdp=1, tensor=1)
    sharding.find_devices()
    mesh = sharding.make_mesh(config.mesh)
    with jax.set_mesh(mesh):
      params, step = load_params(config, network, directory, mesh, step=step)
    source = f'{directory}, step {step:,}'
    if config.finetune.seeds > 1:
      source += f', seed {labels.seed_of(directory, config)}'
  loaded = Model(
    model,
    mask,
    heads,
    network,
    params,
    tokenizer_of(directory, model, {}),
    add_bos=bool(about.get('framed', config.data.split == 'hash')),
    source=source,
    ahead=int(fills_ahead(config)),
    ends=Ends(**about['ends']) if 'ends' in about else None,
    step=None if imported else step,
    labels=labels.of_workdir(directory, about),
    sentences=Sentences.of_json(about['sentences']) if 'sentences' in about else None,
  )
  return loaded if imported else loaded._replace(sentences=_prompts(config, loaded))


def _prompts(config, model: Model) -> Sentences | None:
  """How a run that learned texts behind prompts uses them; None of other runs.

  Where both are one prompt, no text was seen without it, so it is the default one.
  """
  prompts = dict(query=config.data.query_prompt, document=config.data.document_prompt)
  if not any(prompts.values()):
    return None
  begin, end = model.frame
  default = 'query' if len({*prompts.values()}) == 1 else None
  return Sentences(begin, end, model.context, prompts, default, None, 'cosine')


def _read_about(directory: Path) -> dict:
  """What `save` wrote about imported weights."""
  path, advice = directory / 'weights.json', 'Import the weights again with tools.convert.'
  about = json_file.read_object(
    path, dict(heads=list, framed=bool, source=str), refuse=WeightsError, todo=advice
  )
  unknown = [name for name in about['heads'] if name not in tuple(HEADS)]
  if unknown:
    raise WeightsError(f'{path}: there is no head {unknown[0]!r}. {advice}')
  return about


def load_params(config, network: Network, directory: epath.PathLike, mesh, *, step: int | None):
  """Loads the parameters of a checkpoint: the moving average if the run kept one.

  Args:
    step: which checkpoint; None: the best where the run kept one (config.checkpoint.best), else the
      newest.

  Returns:
    (parameters, step), the parameters sharded over `mesh`; of several seeds those of the best one.

  Raises:
    StateError: there is no such checkpoint, or it is damaged.
    WeightsError: it is smaller than the network of the config.
    NumericalError: its parameters are not finite.
  """
  kept_best = bool(config.checkpoint.best) and step is None
  folder = epath.Path(directory) / (checkpoint.BEST if kept_best else 'checkpoints')
  steps = checkpoint.available(folder)
  if not steps or step is not None and step not in steps:
    wanted = 'checkpoint' if step is None else f'checkpoint of step {step}'
    raise StateError(f'{folder} has no {wanted}; there are {steps or "none"}.')
  step = steps[-1] if step is None else step
  if problem := checkpoint.damage(checkpoint.folder_of(folder, step)):
    raise StateError(
      f'checkpoint of step {step} is damaged: {problem}. Try --step with one of {steps}.'
    )
  held = checkpoint.stored_bytes(checkpoint.folder_of(folder, step))
  sizes.check(model_config(config), held, str(epath.Path(directory) / 'config.json'))
  abstract, *_ = make_run_state(config, network, mesh)
  state, _ = checkpoint.restore(folder, step, abstract)
  params = scored_params(state)
  if config.finetune.seeds > 1:
    params = stacked.one_of(params, labels.seed_of(directory, config) - config.seed)
  finite.check_weights(by_path(params), f'{directory}, step {step:,}')
  return params, step


def _own_tensors(directory: Path, network: Network, model: ModelConfig):
  """Reads parameters that `save` wrote.

  Raises:
    WeightsError: they are not the network's.
    NumericalError: they are not finite.
  """
  tensors = files.open_tensors(storage.local(directory))
  sizes.check(model, files.numbers(tensors), str(directory / 'config.json'))
  shapes = parameter_shapes(network)
  found = {path: tensor.shape for path, tensor in tensors.items()}
  if found != shapes:
    paths = sorted(found.keys() | shapes.keys())
    wrong = [path for path in paths if found.get(path) != shapes.get(path)]
    lines = [f'{path} is {found.get(path)}, expected {shapes.get(path)}' for path in wrong[:12]]
    raise WeightsError(
      f'{directory} does not hold the model that its config.json describes: '
      + '; '.join(lines)
      + '.'
    )
  flat = {path: tensor.read() for path, tensor in tensors.items()}
  finite.check_weights(flat, str(directory))
  return from_paths(flat)
