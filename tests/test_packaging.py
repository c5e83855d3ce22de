"""What is installed: every package, nothing undeclared, and neither TensorFlow nor torch."""

import ast
import configparser
from importlib import metadata
from pathlib import Path
import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ('tensorflow', 'tensorflow-cpu', 'tf-nightly', 'torch', 'torchvision', 'keras', 'tf-keras')
NOT_CODE = ('tests', 'examples', 'build', 'runs')
# Modules that no distribution installed here provides: of
# a later standard library, and of an extra.
ELSEWHERE = (
  'compression',
  'torch',
  'transformers',
  'sentence_transformers',
  'submitit',
  'libtpu',
  'apache_beam',
)


def setup() -> configparser.ConfigParser:
  parser = configparser.ConfigParser()
  parser.read(ROOT / 'setup.cfg')
  return parser


def requirements(text: str) -> list[Requirement]:
  lines = [line.strip() for line in text.splitlines()]
  return [Requirement(line) for line in lines if line and not line.startswith('#')]


def core() -> list[Requirement]:
  return requirements(setup()['options']['install_requires'])


def packages() -> list[str]:
  return setup()['options']['packages'].split()


def programs() -> list[str]:
  return setup()['options']['py_modules'].split()


def constraints() -> dict[str, Requirement]:
  lines = requirements((ROOT / 'constraints.txt').read_text())
  named = [line for line in lines if line.marker is None or line.marker.evaluate()]
  by_name = {canonicalize_name(line.name): line for line in named}
  assert len(by_name) == len(named), 'a distribution is constrained twice'
  return by_name


def needed_by(wanted: list[Requirement]) -> set[str]:
  """Names of the distributions that an installation of these brings along, these included."""
  names, waiting, seen = set(), list(wanted), set()
  while waiting:
    requirement = waiting.pop()
    name = canonicalize_name(requirement.name)
    if (name, frozenset(requirement.extras)) in seen:
      continue
    seen.add((name, frozenset(requirement.extras)))
    if requirement.marker is None or requirement.marker.evaluate({'extra': ''}):
      names.add(name)
      for line in metadata.requires(name) or ():
        further = Requirement(line)
        extras = {'', *requirement.extras}
        if further.marker is None or any(
          further.marker.evaluate({'extra': extra}) for extra in extras
        ):
          further.marker = None
          waiting.append(further)
  return names


def imports(file: Path) -> set[str]:
  """Top-level names that a file imports."""
  found = set()
  for node in ast.walk(ast.parse(file.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name.partition('.')[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and not node.level:
      found.add(node.module.partition('.')[0])
  return found


def sources() -> list[Path]:
  folders = [ROOT / name.replace('.', '/') for name in packages()]
  return [file for folder in [ROOT, *folders] for file in folder.glob('*.py')]


def test_every_folder_of_code_is_a_listed_package():
  tops = [top for top in ROOT.iterdir() if top.is_dir() and not top.name.startswith('.')]
  code = [top for top in tops if top.name not in NOT_CODE and not (top / 'pyvenv.cfg').exists()]
  files = [file for top in code for file in [*top.glob('*.py'), *top.glob('*/*.py')]]
  folders = {file.parent.relative_to(ROOT) for file in files if file.name != '__init__.py'}
  assert {'.'.join(folder.parts) for folder in folders} == set(packages())
  assert all((ROOT / name.replace('.', '/') / '__init__.py').exists() for name in packages())


def test_every_program_is_a_listed_module():
  assert {file.stem for file in ROOT.glob('*.py')} == set(programs())


def test_every_import_is_declared():
  declared = {canonicalize_name(requirement.name) for requirement in core()}
  ours = {*packages(), *programs(), *ELSEWHERE}
  providers = metadata.packages_distributions()
  for file in sources():
    for name in imports(file) - ours - set(sys.stdlib_module_names):
      distributions = {canonicalize_name(each) for each in providers.get(name, [name])}
      assert distributions & declared, (
        f'{file.relative_to(ROOT)} imports {name}: name it in setup.cfg'
      )


def test_every_declared_requirement_is_imported():
  imported = set().union(*map(imports, sources()))
  # Read by a later part of the project: real weights in and out.
  ahead = {'safetensors'}
  providers = metadata.packages_distributions()
  used = {canonicalize_name(each) for name in imported for each in providers.get(name, [name])}
  assert {canonicalize_name(requirement.name) for requirement in core()} - used <= ahead


@pytest.mark.parametrize('extra', ['', 'test'])
def test_installing_brings_neither_tensorflow_nor_torch(extra):
  more = requirements(setup()['options.extras_require'][extra]) if extra else []
  assert not needed_by(core() + more) & set(HEAVY)


def test_everything_installed_has_an_exact_tested_version():
  wanted = core() + requirements(setup()['options.extras_require']['test'])
  pinned = constraints()
  for name in needed_by(wanted):
    assert name in pinned, f'{name} is missing from constraints.txt'
    assert re.fullmatch(r'==[\w.+]+', str(pinned[name].specifier)), (
      f'{name} is not pinned to one version'
    )


def test_tested_versions_satisfy_the_requirements():
  pinned = constraints()
  for requirement in core():
    version = str(pinned[canonicalize_name(requirement.name)].specifier).removeprefix('==')
    assert requirement.specifier.contains(version), f'{requirement} against {version}'


def test_packages_are_listed_by_name():
  assert 'find' not in (ROOT / 'setup.cfg').read_text().replace('never `find:`', '')


def test_extras():
  assert {'test', 'parity', 'tpu', 'cuda', 'slurm', 'gcs', 'beam'} <= set(
    setup()['options.extras_require']
  )
