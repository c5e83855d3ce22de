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
from inference.model import Model
from interop import files, generation, huggingface
from interop.describe import describe
from models.network import by_path
from runtime.errors import WeightsError


def export(model: Model, workdir: Path, to: Path, *, sentences: bool = False):
  """Writes the directory `to`.

  Args:
    workdir: where the model was loaded from; its records go into the manifest.
    sentences: export for sentence-transformers (trunk, mean over tokens), not for transformers.

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
  if sentences and not encoder:
    raise WeightsError(
      f'{model.source} is causal; the mean over tokens that sentence-transformers takes is made '
      'for models that read both sides. --export=hf works.'
    )
  ids = dict(pad_token_id=tokenizer.pad)
  rules = {}
  if not encoder:
    ids |= dict(bos_token_id=tokenizer.bos, eos_token_id=tokenizer.eos)
    if model.ends is not None:  # it was imported: what its files said
      ids, rules = generation.write(model.ends), model.ends.rules
  heads = model.heads
  params = {path: np.asarray(jax.device_get(x)) for path, x in by_path(model.params).items()}
  if sentences:  # the trunk alone, and its pooler if there is one
    params = {
      path.replace('nsp/pooler', 'pool/dense'): x
      for path, x in params.items()
      if not path.startswith(('mlm/', 'nsp/classifier'))
    }
    heads = ('pool',) if {'nsp', 'pool'} & set(heads) else ()
  family, theirs = describe(
    vars(model.config), base.get_config().model.to_dict(), model.mask, heads, ids
  )
  lost = [head for head in heads if head in family.left_out]
  if lost:
    warnings.warn(f'{theirs["architectures"][0]} has no head {lost[0]}: left out', stacklevel=2)
  params = {path: x for path, x in params.items() if path.split('/')[0] not in lost}
  tensors = huggingface.export_parameters(family, params)
  to.mkdir(parents=True, exist_ok=True)
  _write(to / 'config.json', theirs)
  if not encoder:
    _write(to / generation.NAME, ids | rules)
  files.save_tensors(tensors, to / 'model.safetensors')
  _tokenizer(tokenizer, to, model, add_eos=encoder)
  if sentences:
    _sentence_transformers(to, model)
  manifest = _manifest(model, workdir)
  _write(to / 'training_manifest.json', manifest)
  (to / 'README.md').write_text(
    _card(model, theirs['architectures'][0], manifest, sentences), encoding='utf-8'
  )


def _tokenizer(tokenizer, to: Path, model: Model, *, add_eos: bool):
  """Writes tokenizer.json and the files about it that transformers reads.

  Args:
    add_eos: an encoder, which frames each text with [CLS] and [SEP]; else only bos is added.
  """
  text = tokenizer.framed_json(add_eos=add_eos) if model.add_bos else tokenizer.plain_json()
  (to / 'tokenizer.json').write_text(text, encoding='utf-8')
  ids = dict(pad_token=tokenizer.pad, mask_token=tokenizer.mask, unk_token=tokenizer.unknown)
  if add_eos:
    ids |= dict(cls_token=tokenizer.bos, sep_token=tokenizer.eos)
  else:
    ids |= dict(bos_token=tokenizer.bos, eos_token=tokenizer.eos)
  specials = {role: tokenizer.token(id_) for role, id_ in ids.items() if id_ is not None}
  _write(to / 'special_tokens_map.json', specials)
  # Not TokenizersBackend, the class of transformers 5: older versions and vLLM do not have it.
  _write(
    to / 'tokenizer_config.json',
    specials
    | dict(
      tokenizer_class='PreTrainedTokenizerFast',
      model_max_length=model.context,
      clean_up_tokenization_spaces=False,
    ),
  )
  if model.tokenizer.wordpiece and model.tokenizer.named_V.all():  # a line an id
    words = '\n'.join(tokenizer.token(index) for index in range(tokenizer.size))
    (to / 'vocab.txt').write_text(words + '\n', encoding='utf-8')


def _sentence_transformers(to: Path, model: Model):
  """Writes sentence-transformers' files: trunk, mean over tokens, normalisation to length 1."""
  kinds_and_paths = [('Transformer', ''), ('Pooling', '1_Pooling'), ('Normalize', '2_Normalize')]
  modules = [
    dict(idx=index, name=str(index), path=path, type=f'sentence_transformers.models.{kind}')
    for index, (kind, path) in enumerate(kinds_and_paths)
  ]
  (to / 'modules.json').write_text(json.dumps(modules, indent=2) + '\n')
  _write(
    to / 'config_sentence_transformers.json',
    dict(prompts={}, default_prompt_name=None, similarity_fn_name='cosine'),
  )
  _write(
    to / 'sentence_bert_config.json',
    dict(max_seq_length=min(256, model.context), do_lower_case=False),
  )
  (to / '1_Pooling').mkdir()
  (to / '2_Normalize').mkdir()
  _write(
    to / '1_Pooling' / 'config.json',
    dict(
      word_embedding_dimension=model.config.width,
      pooling_mode_cls_token=False,
      pooling_mode_mean_tokens=True,
      pooling_mode_max_tokens=False,
      pooling_mode_mean_sqrt_len_tokens=False,
    ),
  )


def _manifest(model: Model, workdir: Path) -> dict[str, Any]:
  """Returns the workdir's records of the training: config and its hash, data, results, software."""
  known: dict[str, Any] = dict(source=model.source)
  for name in ('config', 'data', 'result', 'software'):
    if (workdir / f'{name}.json').exists():
      known[name] = files.read_json(workdir / f'{name}.json')
  if 'objectives' in known.get('config', {}):
    known['config_sha256'] = check.config_hash(known['config'])
  return known


def _card(model: Model, architecture: str, manifest: dict[str, Any], sentences: bool) -> str:
  """Returns README.md, the model card."""
  if sentences:
    task = 'sentence-similarity'
  else:
    task = 'text-generation' if model.mask == 'causal' else 'fill-mask'
  library = 'sentence-transformers' if sentences else 'transformers'
  config = manifest.get('config', {})
  facts = dict(
    source=model.source,
    architecture=architecture,
    mask=model.mask,
    heads=', '.join(model.heads) or 'none',
    corpus=config.get('data', {}).get('corpus'),
    config_sha256=manifest.get('config_sha256'),
    **{f'{name}_fingerprint': value for name, value in manifest.get('data', {}).items()},
  )
  results = {
    name: value
    for name, value in manifest.get('result', {}).items()
    if isinstance(value, int | float)
  }

  def table(rows: dict[str, Any]) -> str:
    return '\n'.join(f'| {name} | {value} |' for name, value in rows.items() if value is not None)

  lines = [
    '---',
    f'library_name: {library}',
    f'pipeline_tag: {task}',
    '---',
    '',
    f'# {config.get("name", "model")}',
    '',
    'Trained with onemask; every number below comes from the run itself.',
    '',
    '| | |',
    '|---|---|',
    table(facts),
  ]
  if results:
    lines += ['', '## Results', '', '| | |', '|---|---|', table(results)]
  return '\n'.join(lines) + '\n'


def _write(path: Path, value: dict[str, Any]):
  """Writes a JSON object as transformers does: two spaces, UTF-8."""
  path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
