"""Who may import whom: data flows one way, and each outside library has a waist one file wide."""

import ast
from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = (
  'configs',
  'models',
  'objectives',
  'parallel',
  'data',
  'runtime',
  'training',
  'inference',
  'evaluation',
  'interop',
  'tools',
  'examples',
)

# What a folder (or a file, which wins) may import besides the standard library.
RULES = {
  'configs': {'configs', 'ml_collections'},
  'runtime': {'runtime', 'configs', 'absl', 'ml_collections', 'jax', 'numpy', 'etils'},
  # data/, which knows no jax, imports these
  'runtime/atomic.py': {'runtime.flaky'},
  'runtime/flaky.py': set(),
  'runtime/json_file.py': {'runtime.flaky'},
  'parallel': {'parallel', 'runtime', 'configs', 'jax', 'numpy'},
  'parallel/axes.py': {'jax'},
  'models': {'models', 'parallel.axes', 'jax', 'numpy', 'flax'},
  'models/masks.py': {'jax', 'models.gather'},
  'models/attention.py': {
    'jax',
    'models.masks',
    'models.banded',
    'models.splash',
    'models.cudnn',
    'models.dropout',
    'parallel.axes',
  },
  'models/banded.py': {'jax', 'models.masks'},
  'models/depth.py': {'models.config'},
  'models/dropout.py': {'jax'},
  'models/splash.py': {'jax', 'models.masks'},
  'models/cudnn.py': {'jax', 'models.masks'},
  'models/config.py': set(),
  'models/projection.py': {'jax'},
  'objectives': {'objectives', 'models.projection', 'parallel.axes', 'jax'},
  'data': {
    'data',
    'numpy',
    'grain',
    'array_record',
    'tensorflow_datasets',
    'tokenizers',
    'zstandard',
    'compression',
    'etils',
    'runtime.atomic',
    'runtime.json_file',
  },  # a tokenizer may lie on an object store, beside the run that it came from
  'inference': {'inference', 'models', 'data', 'runtime', 'configs', 'jax', 'numpy', 'matplotlib'},
  'interop': {
    'interop',
    'inference',
    'models',
    'runtime',
    'configs',
    'numpy',
    'safetensors',
    'jax',
  },
  'evaluation': {
    'evaluation',
    'inference',
    'models',
    'objectives',
    'data',
    'runtime',
    'jax',
    'numpy',
    'scipy',
  },
  'training': {*OURS, 'jax', 'numpy', 'etils'} - {'tools'},
  'tools': {*OURS, 'jax', 'numpy', 'scipy', 'matplotlib', 'rich', 'etils'},
  'examples': {*OURS, 'jax', 'numpy'},
}
# Libraries that only these files know.
WAISTS = {
  'optax': {'training/optimizer.py', 'training/stable_adam.py', 'training/step.py'},
  'orbax': {'training/checkpoint.py'},
  'tensorboardX': {'training/tensorboard.py'},
  # writing an object only if there is none, which epath has no word for
  'fsspec': {'runtime/storage.py'},
  'rich': {'runtime/console.py'},
  'matplotlib': {
    'training/label_figure.py',
    'training/learning_curve.py',
    'training/curves.py',
    'runtime/figures.py',
  },
  'safetensors': {'training/warm_start.py'},
  'yaml': {'tools/claims/schema.py'},
  'submitit': {'tools/sweep/slurm.py'},
  'apache_beam': {'tools/prepare.py'},
  # by itself, as what our own use of it is measured against
  'tokenizers': {'tools/bench/input.py'},
  'flax': {'training/step.py', 'parallel/sharding.py'},
}
# The other side of a benchmark: nothing imports it, it is a process of its own.
RULES['tools/bench/peer.py'] = {'tools', 'runtime.allocator', 'numpy', 'torch', 'transformers'}
RULES['tools/bench/peer_embed.py'] = {'tools', 'sentence_transformers'}
RULES['tools/bench/peer_finetune.py'] = {
  *('tools', 'data', 'evaluation', 'runtime.allocator', 'numpy', 'transformers'),
}
RULES['tools/bench/peer_groups.py'] = {
  'tools',
  'runtime.allocator',
  'sentence_transformers',
  'torch',
}
NEVER = {'torch', 'tensorflow', 'transformers', 'pickle', 'cloudpickle', 'dill'}


def imports(path: Path) -> set[str]:
  """Dotted names of everything a file imports, wherever in it."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      names |= (
        {node.module}
        if node.module not in OURS
        else {f'{node.module}.{alias.name}' for alias in node.names}
      )
  return names


FILES = sorted(path for folder in OURS for path in (ROOT / folder).rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_folder_may(path):
  name = str(path.relative_to(ROOT))
  allowed = RULES.get(name, RULES[name.split('/')[0]])
  for module in imports(path):
    top = module.split('.')[0]
    assert top not in NEVER or top in allowed, f'{name} imports {module}'
    if top in sys.stdlib_module_names or any(
      module == rule or module.startswith(f'{rule}.') for rule in allowed
    ):
      continue
    assert name in WAISTS.get(top, ()), f'{name} imports {module}'


def test_the_rules_catch_what_they_are_for(tmp_path):
  file = tmp_path / 'x.py'
  file.write_text('import optax\nfrom models import masks\ndef f():\n  import pickle\n')
  assert imports(file) == {'optax', 'models.masks', 'pickle'}


def test_nobody_asks_for_uninitialised_memory():
  for path in FILES:
    assert 'jnp.empty(' not in path.read_text(), path
