"""Folders of sentence-transformers give the vectors that it gives, or are refused by name."""

import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest
import runs
from test_convert import CASES, WORDS, of_vectors, random_weights

from configs.embed import contrast
from data.errors import DataError
from inference.embed import Embedder
from interop.export import export
from models.pooling import POOLINGS, blind
from runtime import records
from runtime.errors import WeightsError
from training import adopt, load

TEXTS = ['The old banks of a river.', 'He paid, cash', 'fish ' * 40, 'Boat into the BANK of fish.']
# Family -> a model of test_convert.
FAMILIES = dict(
  bert='bert-bare', distilbert='distilbert-sequence', albert='albert', gpt2='gpt2', llama='llama'
)
_MODES = ('cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean', 'lasttoken')
_OLD = dict(
  cls='pooling_mode_cls_token',
  max='pooling_mode_max_tokens',
  mean='pooling_mode_mean_tokens',
  mean_sqrt_len_tokens='pooling_mode_mean_sqrt_len_tokens',
  weightedmean='pooling_mode_weightedmean_tokens',
  lasttoken='pooling_mode_lasttoken',
)
_PLAIN = ('Pooling:mean', 'Normalize')
_POOL, _DENSE, _SETTINGS = (
  '1_Pooling/config.json',
  '2_Dense/config.json',
  'config_sentence_transformers.json',
)
_BERT, _TOKENIZER, _MODULES = 'sentence_bert_config.json', 'tokenizer_config.json', 'modules.json'


def _edit(name, change=None, **keys):
  """A change of one JSON file of a folder: keys that are set, `...` removes; or a function."""

  def edit(folder):
    path = folder / name
    value = json.loads(path.read_text()) if path.exists() else {}
    if change is not None:
      value = change(value)
    else:
      value = {key: x for key, x in (value | keys).items() if x is not ...}
    path.write_text(json.dumps(value))

  return edit


def _remove(name):
  return lambda folder: (folder / name).unlink()


def _old_pooling(*modes):
  keys = {key: mode in modes for mode, key in _OLD.items()}
  return _edit(_POOL, lambda value: dict(word_embedding_dimension=32) | keys)


def _old_types(folder):
  """modules.json as versions before 5.4 wrote it."""

  def change(lines):
    for line in lines:
      line['type'] = 'sentence_transformers.models.' + line['type'].rpartition('.')[2]
    return lines

  _edit(_MODULES, change)(folder)


def _in_a_folder(folder):
  """The Transformer in 0_Transformer/, as version 0 wrote it."""
  inside = folder / '0_Transformer'
  inside.mkdir()
  for path in [*folder.iterdir()]:
    if path.is_file() and path.name not in (_MODULES, _SETTINGS):
      path.rename(inside / path.name)

  def change(lines):
    lines[0]['path'] = inside.name
    return lines

  _edit(_MODULES, change)(folder)


def _as_a_hub_cache(folder):
  """Links from snapshots/ID and its folders into blobs/, as the client of the hub makes them."""
  blobs = folder.parent.parent / 'blobs'
  blobs.mkdir()
  for number, path in enumerate(folder.rglob('*.*')):
    if path.is_file():
      path.rename(blobs / str(number))
      path.symlink_to(blobs / str(number))


def _frame(template):
  """What the rule of the tokenizer puts around a text."""

  def change(rule):
    specials = {
      token['content']: dict(id=token['content'], ids=[token['id']], tokens=[token['content']])
      for token in rule['added_tokens']
    }
    part = {'$A': dict(Sequence=dict(id='A', type_id=0))}
    single = [
      part.get(word) or dict(SpecialToken=dict(id=word, type_id=0)) for word in template.split()
    ]
    pair = [dict(Sequence=dict(id='A', type_id=0)), dict(Sequence=dict(id='B', type_id=1))]
    rule['post_processor'] = dict(
      type='TemplateProcessing', single=single, pair=pair, special_tokens=specials
    )
    return rule

  return _edit('tokenizer.json', change)


def _rename(old, new):
  return lambda folder: (folder / old).rename(folder / new)


# Name -> (family, modules after the Transformer, changes of the folder).
EQUAL = {
  **{
    f'{family}, {mode}': (family, (f'Pooling:{mode}',), ())
    for family in FAMILIES
    for mode in _MODES
    if mode != 'cls' or family not in ('gpt2', 'llama')
  },
  **{
    f'before 5.4, {mode}': ('bert', ('Pooling:mean',), (_old_pooling(mode), _old_types))
    for mode in _MODES
  },
  'before 5.4, none': ('bert', ('Pooling:mean',), (_old_pooling(),)),
  'before 5.4, no key': (
    'bert',
    ('Pooling:mean',),
    (_edit(_POOL, lambda _: dict(embedding_dimension=32)),),
  ),
  'both layouts': ('bert', ('Pooling:cls',), (_edit(_POOL, pooling_mode_max_tokens=True),)),
  'a list of one': ('bert', ('Pooling:mean',), (_edit(_POOL, pooling_mode=['cls']),)),
  **{
    f'{family}, Dense {activation}, bias {bias}': (
      family,
      ('Pooling:mean', f'Dense:{activation}:{bias}', *rest),
      (),
    )
    for family, activation, bias, rest in (
      ('bert', 'Tanh', True, ()),
      ('bert', 'Identity', False, ('Normalize',)),
      ('bert', 'ReLU', True, ('Normalize',)),
      ('bert', 'GELU', True, ('Normalize',)),
      ('gpt2', 'SiLU', False, ()),
      ('llama', 'Tanh', False, ('Normalize',)),
    )
  },
  'Dense without its name of activation': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True'),
    (_edit(_DENSE, activation_function=...),),
  ),
  'Dense, torch.nn.ReLU': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True'),
    (_edit(_DENSE, activation_function='torch.nn.ReLU'),),
  ),
  'Normalize twice': ('bert', ('Pooling:max', 'Normalize', 'Normalize'), ()),
  'Dropout': ('bert', ('Pooling:max', 'Dropout', 'Dense:Tanh:True', 'Dropout', 'Normalize'), ()),
  'in 0_Transformer': ('bert', ('Pooling:cls', 'Dense:Tanh:True'), (_in_a_folder,)),
  'a cache of the hub': ('bert', ('Pooling:cls', 'Dense:Tanh:True'), (_as_a_hub_cache,)),
  'no settings': ('bert', _PLAIN, (_remove(_SETTINGS), _remove(_BERT))),
  'Normalize without a file': ('bert', _PLAIN, (_remove('2_Normalize/config.json'),)),
  **{
    f'max_seq_length {length}': ('bert', _PLAIN, (_edit(_BERT, max_seq_length=length),))
    for length in (2, 6, 40, None)
  },
  'model_max_length': ('bert', _PLAIN, (_edit(_TOKENIZER, model_max_length=7),)),
  'no length but the positions': ('bert', _PLAIN, (_edit(_TOKENIZER, model_max_length=1e30),)),
  'tokenizer_args': (
    'bert',
    _PLAIN,
    (_edit(_BERT, max_seq_length=9, tokenizer_args=dict(model_max_length=5)),),
  ),
  'both lengths': (
    'llama',
    _PLAIN,
    (_edit(_BERT, max_seq_length=9), _edit(_TOKENIZER, model_max_length=5)),
  ),
  'an old name': (
    'bert',
    _PLAIN,
    (
      _edit(_BERT, lambda _: dict(max_seq_length=8)),
      _rename(_BERT, 'sentence_roberta_config.json'),
    ),
  ),
  'lower case': ('bert', _PLAIN, (_edit(_BERT, do_lower_case=True),)),
  'model_args': (
    'bert',
    _PLAIN,
    (_edit(_BERT, model_args=dict(attn_implementation='eager', torch_dtype='float32')),),
  ),
  'default prompt': (
    'bert',
    _PLAIN,
    (_edit(_SETTINGS, prompts=dict(q='the bank: '), default_prompt_name='q'),),
  ),
  'default prompt of nothing': ('bert', _PLAIN, (_edit(_SETTINGS, default_prompt_name='query'),)),
  'truncate_dim': ('bert', _PLAIN, (_edit(_SETTINGS, truncate_dim=5),)),
  'truncate_dim, prompt, gpt2': (
    'gpt2',
    ('Pooling:lasttoken',),
    (_edit(_SETTINGS, truncate_dim=9, prompts=dict(q='fish'), default_prompt_name='q'),),
  ),
  'similarity': ('bert', _PLAIN, (_edit(_SETTINGS, similarity_fn_name='dot'),)),
  **{
    f'{family}, frame {frame}': (family, ('Pooling:lasttoken',), (_frame(frame),))
    for family in ('bert', 'gpt2', 'llama')
    for frame in ('$A', '$A [SEP]', '[CLS] [CLS] $A', '[MASK] $A [SEP]')
  },
}


def _type(kind):
  def change(lines):
    lines[1]['type'] = kind
    return lines

  return _edit(_MODULES, change)


def _line(number, **keys):
  def change(lines):
    lines[number] |= keys
    return lines

  return _edit(_MODULES, change)


def _order(*numbers):
  return _edit(
    _MODULES,
    lambda lines: [lines[number] | dict(name=str(index)) for index, number in enumerate(numbers)],
  )


_ST = 'sentence_transformers.models'
_OTHER_TYPES = (
  *(f'{_ST}.{kind}' for kind in ('LayerNorm', 'CNN', 'LSTM', 'BoW', 'WordEmbeddings', 'Router')),
  *(f'{_ST}.{kind}' for kind in ('StaticEmbedding', 'CLIPModel', 'WordWeights', 'Asym')),
  f'{_ST}.WeightedLayerPooling',
  'custom_st.Pooling',
  'torch.nn.Linear',
)
# Name -> (family, modules, changes, words of the error: the file, and the key or module).
REFUSED = {
  **{kind: ('bert', _PLAIN, _type(kind), ('modules.json', kind)) for kind in _OTHER_TYPES},
  'two poolings': (
    'bert',
    _PLAIN,
    _edit(_POOL, pooling_mode=['cls', 'mean']),
    (_POOL, 'pooling_mode'),
  ),
  'two old poolings': ('bert', _PLAIN, _old_pooling('max', 'mean'), (_POOL, 'pooling_mode')),
  'unknown pooling': ('bert', _PLAIN, _edit(_POOL, pooling_mode='min'), (_POOL, "'min'")),
  'without the prompt': (
    'bert',
    _PLAIN,
    _edit(_POOL, include_prompt=False),
    (_POOL, 'include_prompt'),
  ),
  'key of Pooling': ('bert', _PLAIN, _edit(_POOL, temperature=1.0), (_POOL, 'temperature')),
  'key of Normalize': (
    'bert',
    _PLAIN,
    _edit('2_Normalize/config.json', module_input_name='token_embeddings'),
    ('2_Normalize', 'module_input_name'),
  ),
  **{
    f'Dense {key}': (
      'bert',
      ('Pooling:mean', 'Dense:Tanh:True'),
      _edit(_DENSE, **{key: value}),
      (_DENSE, key),
    )
    for key, value in dict(
      use_residual=True,
      activation_function='torch.nn.modules.activation.Sigmoid',
      module_input_name='token_embeddings',
      module_output_name='other',
      layer=3,
      bias='no',
      out_features=-1,
    ).items()
  },
  'Dense of no torch': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True'),
    _edit(_DENSE, activation_function='transformers.activations.GELUActivation'),
    (_DENSE, 'activation_function'),
  ),
  'Dense of another size': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True'),
    _edit(_DENSE, out_features=8),
    ('2_Dense', 'linear.weight'),
  ),
  'Dense with a bias': (
    'llama',
    ('Pooling:mean', 'Dense:Tanh:False'),
    _edit(_DENSE, bias=True),
    (_DENSE, 'bias=True'),
  ),
  'Dense after Normalize': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True', 'Normalize'),
    _order(0, 1, 3, 2),
    ('modules.json', 'Normalize, Dense'),
  ),
  'two Dense': (
    'bert',
    ('Pooling:mean', 'Dense:Tanh:True', 'Normalize'),
    _order(0, 1, 2, 2),
    ('modules.json', 'Dense, Dense'),
  ),
  'no Pooling': ('bert', _PLAIN, _order(0, 2), ('modules.json', 'Normalize')),
  'no Transformer': ('bert', _PLAIN, _order(1, 2), ('modules.json', 'Pooling')),
  'no module': ('bert', _PLAIN, _order(), ('modules.json', 'no module')),
  'two of one name': ('bert', _PLAIN, _line(2, name='1'), ('modules.json', 'name')),
  'kwargs': ('bert', _PLAIN, _line(0, kwargs=['task']), ('modules.json', 'kwargs')),
  'outside': ('bert', _PLAIN, _line(1, path='../1_Pooling'), ('modules.json', '../1_Pooling')),
  'no list': (
    'bert',
    _PLAIN,
    _edit(_MODULES, lambda lines: dict(modules=lines)),
    ('modules.json', 'list'),
  ),
  'no lines': (
    'bert',
    _PLAIN,
    _edit(_MODULES, lambda lines: [1, 2]),
    ('modules.json', 'type and path'),
  ),
  **{
    f'Transformer, {key}': ('bert', _PLAIN, _edit(_BERT, **{key: value}), (_BERT, key))
    for key, value in dict(
      transformer_task='fill-mask',
      modality_config=dict(message=dict(method='forward', method_output_name='last_hidden_state')),
      module_output_name='sentence_embedding',
      processing_kwargs=dict(text=dict(max_length=5)),
      query_length=5,
      document_length=5,
      query_expansion=dict(length=8),
      tokenizer_name_or_path='bert-base-uncased',
      pooling='cls',
      max_seq_length='12',
      model_kwargs=dict(torch_dtype='float16'),
      config_args=dict(num_hidden_layers=1),
      processor_kwargs=dict(truncation_side='left'),
    ).items()
    if key != 'max_seq_length'
  },
  'max_seq_length': ('bert', _PLAIN, _edit(_BERT, max_seq_length='12'), ('tokens at most', "'12'")),
  'a length without room': ('bert', _PLAIN, _edit(_BERT, max_seq_length=1), ('1 tokens at most',)),
  'truncation_side': (
    'bert',
    _PLAIN,
    _edit(_TOKENIZER, truncation_side='left'),
    (_TOKENIZER, 'truncation_side'),
  ),
  'types of GPT-2': (
    'gpt2',
    ('Pooling:mean',),
    _edit(_TOKENIZER, model_input_names=['input_ids', 'token_type_ids']),
    (_TOKENIZER, 'model_input_names'),
  ),
  'lower case by an old name': (
    'bert',
    _PLAIN,
    lambda folder: (
      _edit(_BERT, do_lower_case=True)(folder),
      _rename(_BERT, 'sentence_albert_config.json')(folder),
    ),
    ('sentence_albert_config.json', 'do_lower_case'),
  ),
  **{
    f'settings, {key}': ('bert', _PLAIN, _edit(_SETTINGS, **{key: value}), (_SETTINGS, key))
    for key, value in dict(
      model_type='Other', prompts='q: ', default_prompt_name='no', truncate_dim=0, whitening=True
    ).items()
  },
  'prompts': ('bert', _PLAIN, _edit(_SETTINGS, prompts=dict(q=3)), (_SETTINGS, 'prompts')),
  'a special token in a prompt': (
    'bert',
    _PLAIN,
    _edit(_SETTINGS, prompts=dict(q='[SEP] x')),
    ("prompt 'q'", '[SEP]'),
  ),
  'blind': ('gpt2', ('Pooling:mean',), _edit(_POOL, pooling_mode='cls'), ('causal', 'first')),
}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """(family, modules) -> a folder that sentence-transformers itself saved, made once."""
  package = pytest.importorskip('sentence_transformers', reason='needs the extra parity')
  from sentence_transformers import models
  import torch

  root, made = tmp_path_factory.mktemp('saved'), {}

  def module(text):
    kind, *options = text.split(':')
    if kind == 'Pooling':
      return models.Pooling(32, pooling_mode=options[0])
    if kind == 'Dense':
      function = getattr(torch.nn, options[0])()
      dense = models.Dense(32, 12, bias=options[1] == 'True', activation_function=function)
      for number, x in enumerate(dense.parameters()):  # a bias is near zero when it is new
        x.data = torch.randn(x.shape, generator=torch.Generator().manual_seed(number)) / 6
      return dense
    return getattr(models, kind)()

  def get(family, kinds):
    if (family, kinds) not in made:
      inner, folder = root / family, root / str(len(made))
      if not inner.exists():
        export(random_weights(FAMILIES[family]), root, inner)
      modules = [models.Transformer(str(inner)), *map(module, kinds)]
      package.SentenceTransformer(modules=modules, device='cpu').save(str(folder))
      made[family, kinds] = folder
    return made[family, kinds]

  return get


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """(family, modules) -> a folder as `export` writes it, made once; it needs no library."""
  root, made = tmp_path_factory.mktemp('written'), {}

  def get(family, kinds):
    if (family, kinds) not in made:
      projection = 12 if any(kind.startswith('Dense') for kind in kinds) else 0
      changes = dict(projection=projection, unit_vectors='Normalize' in kinds)
      folder = made[family, kinds] = root / str(len(made))
      export(of_vectors(FAMILIES[family], **changes), root, folder, sentences=True)
    return made[family, kinds]

  return get


def theirs(folder):
  """Vectors of sentence-transformers, a text a batch, so that no padding counts."""
  import sentence_transformers

  model = sentence_transformers.SentenceTransformer(str(folder), device='cpu')
  return model.encode(TEXTS, batch_size=1, show_progress_bar=False)


def close(found, expected):
  """To 1e-6 of the length of the vector: float32 on both sides."""
  assert found.shape == expected.shape
  length = np.linalg.norm(expected, axis=1, keepdims=True)
  np.testing.assert_allclose(found / length, expected / length, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', EQUAL)
def test_vectors_are_those_of_sentence_transformers(name, saved, tmp_path):
  family, kinds, changes = EQUAL[name]
  folder = shutil.copytree(saved(family, kinds), tmp_path / 'snapshots' / 'model')
  for change in changes:
    change(folder)
  expected = theirs(folder)
  model = load.load(folder)
  close(Embedder(model, normalize=False)(TEXTS), expected)
  load.save(model, tmp_path / 'mine')
  close(Embedder(load.load(tmp_path / 'mine'), normalize=False)(TEXTS), expected)
  export(model, folder, tmp_path / 'again', sentences=True)
  close(theirs(tmp_path / 'again'), expected)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', REFUSED)
def test_what_is_not_computed_is_refused_by_name(name, written, tmp_path):
  family, kinds, change, words = REFUSED[name]
  folder = shutil.copytree(written(family, kinds), tmp_path / 'model')
  change(folder)
  with pytest.raises((WeightsError, DataError)) as error:
    Embedder(load.load(folder), normalize=False)
  assert not [word for word in words if word not in str(error.value)], error.value


# Name -> (case of test_convert, its heads, changes of its config).
TRAINED = {
  **{
    f'{case}, {pooling}': (case, ('vector',), dict(pooling=pooling))
    for case in ('bert', 'gpt2', 'llama', 'rotary')
    for pooling in POOLINGS
    if not blind(CASES[case][1], pooling)
  },
  'unit': ('bert', ('vector',), dict(unit_vectors=True)),
  'projection': ('bert', ('vector',), dict(projection=12, unit_vectors=True)),
  'projection, causal': ('gpt2', ('vector',), dict(projection=12, pooling='last')),
  'projection without a bias': (
    'llama',
    ('vector',),
    dict(projection=40, projection_activation='silu'),
  ),
  'nli': ('distilbert-sequence', ('pair',), dict(classes=3, pooling='max')),
  'with other heads': ('bert', ('mlm', 'nsp', 'vector'), {}),
}


@pytest.mark.parametrize('name', TRAINED)
def test_a_trained_model_has_its_vectors_there_and_after_it_comes_back(name, tmp_path):
  if name not in ('projection', 'projection, causal'):
    pytest.importorskip('sentence_transformers', reason='needs the extra parity')
  case, heads, changes = TRAINED[name]
  model = of_vectors(case, heads, **changes)
  expected = Embedder(model, normalize=False)(TEXTS)
  export(model, tmp_path, tmp_path / 'out', sentences=True)
  back = load.load(tmp_path / 'out')
  np.testing.assert_array_equal(Embedder(back, normalize=False)(TEXTS), expected)
  if importlib.util.find_spec('sentence_transformers'):
    close(theirs(tmp_path / 'out'), expected)


def test_a_run_pools_as_the_sentence_encoder_that_it_begins_with(tmp_path):
  changes = dict(pooling='last', projection=12, projection_activation='relu', unit_vectors=True)
  export(of_vectors('bert', **changes), tmp_path, tmp_path / 'first', sentences=True)
  _in_a_folder(tmp_path / 'first')
  (tmp_path / 'pairs.jsonl').write_text('{"anchor": "the bank", "positive": "a river"}\n')
  config = contrast.get_config()
  config.update(init_from=str(tmp_path / 'first'))
  config.data.groups = str(tmp_path / 'pairs.jsonl')
  settled = adopt.settle(config).model
  assert {name: settled[name] for name in changes} == changes
  config.model.pooling = 'max'
  assert adopt.settle(config).model.pooling == 'max'


def test_a_sentence_encoder_gets_no_evaluations(tmp_path):
  export(of_vectors('bert'), tmp_path, tmp_path / 'model', sentences=True)
  _in_a_folder(tmp_path / 'model')
  before = sorted(tmp_path.rglob('*'))
  assert not records.note_evaluations(tmp_path / 'model', {'sts': dict(value=0.5)})
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_a_run_from_a_sentence_encoder_is_one_again(tmp_path):
  package = pytest.importorskip('sentence_transformers', reason='needs the extra parity')
  changes = dict(pooling='last', projection=12, unit_vectors=True)
  export(of_vectors('bert', **changes), tmp_path, tmp_path / 'first', sentences=True)
  _edit(_SETTINGS, prompts=dict(q='fish '), default_prompt_name='q')(tmp_path / 'first')
  lines = [dict(anchor=f'the bank {one}', positive=f'a river {one}') for one in WORDS[5:]]
  (tmp_path / 'pairs.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  fields = {
    'init_from': tmp_path / 'first',
    'data.groups': tmp_path / 'pairs.jsonl',
    'data.cache': tmp_path / 'cache',
    'data.sequence_length': 16,
    'data.max_unknown_share': 1.0,
    'steps': 4,
    'batch_size': 4,
    'optimizer.learning_rate': 1e-2,
    'log.tensorboard': False,
  }
  named = [f'--config.{name}={value}' for name, value in fields.items()]
  train = ['train.py', '--config=configs/embed/contrast.py', f'--workdir={tmp_path}/run', *named]
  said = runs.run([sys.executable, *train])
  assert said.returncode == 0, said.stderr
  assert 'sentence-transformers over BertModel' in said.stderr + said.stdout
  convert = ['-m', 'tools.convert', '--export=sentence-transformers']
  said = runs.run([sys.executable, *convert, f'--workdir={tmp_path}/run', f'--to={tmp_path}/out'])
  assert said.returncode == 0, said.stderr
  model = load.load(tmp_path / 'run')
  found = Embedder(model, normalize=False)(TEXTS)
  assert found.shape[1] == 12
  close(theirs(tmp_path / 'out'), found)
  before = package.SentenceTransformer(str(tmp_path / 'first'), device='cpu').encode(TEXTS)
  assert np.abs(found - before).max() > 1e-3  # it did learn


def test_the_kind_is_large(capsys):
  with capsys.disabled():
    counts = f'{len(EQUAL)} folders with equal vectors, {len(REFUSED)} refused'
    print(f' {counts}, {len(TRAINED)} trained here ', end='')
  assert len(EQUAL) >= 40 and len(REFUSED) >= 40
