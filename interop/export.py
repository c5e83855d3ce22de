"""A directory that transformers and sentence-transformers load
with their stock classes, card included.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from configs import base
from configs.schema import check
from inference.model import Model
from interop import files, huggingface
from interop.describe import describe
from models.network import by_path
from runtime.errors import WeightsError


def export(model: Model, workdir: Path, to: Path, *, sentences: bool = False):
  """Writes the directory.

  Raises:
    WeightsError: no stock class computes this network, or there is something in `to` already.
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
  ids = dict(pad_token_id=tokenizer.pad) | (
    {} if encoder else dict(bos_token_id=tokenizer.bos, eos_token_id=tokenizer.eos)
  )
  heads = model.heads
  params = {path: np.asarray(jax.device_get(x)) for path, x in by_path(model.params).items()}
  if sentences:  # the trunk alone, and its pooler where there is one
    params = {
      path.replace('nsp/pooler', 'pool/dense'): x
      for path, x in params.items()
      if not path.startswith(('mlm/', 'nsp/classifier'))
    }
    heads = ('pool',) if {'nsp', 'pool'} & set(heads) else ()
  family, theirs = describe(
    vars(model.config), base.get_config().model.to_dict(), model.mask, heads, ids
  )
  tensors = huggingface.export_parameters(family, params)
  to.mkdir(parents=True, exist_ok=True)
  _write(to / 'config.json', theirs)
  if not encoder:
    _write(to / 'generation_config.json', ids)
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
  rule = tokenizer.framed_json(add_eos=add_eos) if model.add_bos else tokenizer.plain_json()
  (to / 'tokenizer.json').write_text(rule, encoding='utf-8')
  name = lambda index: None if index is None else tokenizer.token(index)
  specials = dict(
    pad_token=name(tokenizer.pad),
    mask_token=name(tokenizer.mask),
    unk_token=name(tokenizer.unknown),
  )
  specials |= (
    dict(cls_token=name(tokenizer.bos), sep_token=name(tokenizer.eos))
    if add_eos
    else dict(bos_token=name(tokenizer.bos), eos_token=name(tokenizer.eos))
  )
  specials = {role: token for role, token in specials.items() if token is not None}
  _write(to / 'special_tokens_map.json', specials)
  # Not TokenizersBackend, which transformers before 5 and vLLM do not know.
  _write(
    to / 'tokenizer_config.json',
    specials
    | dict(
      tokenizer_class='PreTrainedTokenizerFast',
      model_max_length=model.context,
      clean_up_tokenization_spaces=False,
    ),
  )
  if model.tokenizer.wordpiece:
    words = '\n'.join(tokenizer.token(index) for index in range(tokenizer.size))
    (to / 'vocab.txt').write_text(words + '\n', encoding='utf-8')


def _sentence_transformers(to: Path, model: Model):
  module = lambda index, path, kind: dict(
    idx=index, name=str(index), path=path, type=f'sentence_transformers.models.{kind}'
  )
  # A list, which `_write` is not for.
  (to / 'modules.json').write_text(
    json.dumps(
      [
        module(0, '', 'Transformer'),
        module(1, '1_Pooling', 'Pooling'),
        module(2, '2_Normalize', 'Normalize'),
      ],
      indent=2,
    )
    + '\n'
  )
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
  """What is known of the training: the config's hash, the data's fingerprints, the results."""
  known: dict[str, Any] = dict(source=model.source)
  for name in ('config', 'data', 'result', 'software'):
    if (workdir / f'{name}.json').exists():
      known[name] = files.read_json(workdir / f'{name}.json')
  if 'objectives' in known.get('config', {}):
    known['config_sha256'] = check.config_hash(known['config'])
  return known


def _card(model: Model, architecture: str, manifest: dict[str, Any], sentences: bool) -> str:
  task = (
    'sentence-similarity'
    if sentences
    else 'text-generation'
    if model.mask == 'causal'
    else 'fill-mask'
  )
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
  table = lambda rows: '\n'.join(
    f'| {name} | {value} |' for name, value in rows.items() if value is not None
  )
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
  path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
