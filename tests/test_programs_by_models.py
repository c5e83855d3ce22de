"""Every program on every kind of model: a result, or words that say why not; never a traceback."""

from collections.abc import Callable
import functools
import gzip
import itertools
import json
from pathlib import Path
import re
from typing import NamedTuple
import zipfile

from in_process import Answer, call
import kinds
import pytest

from evaluation import likelihood
from inference.model import Model
from interop.families import FAMILIES
from training import load as loading


class Case(NamedTuple):
  """A program, and what it is asked of the model in {model}.

  Attributes:
    can: whether a model has an answer; None where either is right, as for an export, which some
      published class must compute.
  """

  program: str
  arguments: tuple[str, ...]
  can: Callable[[Model], bool] | None


def always(model: Model) -> bool:
  """Whatever the model."""
  return True


def fills(model: Model) -> bool:
  """It has the head of masked tokens."""
  return 'mlm' in model.heads


def generates(model: Model) -> bool:
  """It was trained to give the next token, unseen."""
  return 'clm' in model.heads and model.mask != 'bidirectional'


def scores(model: Model) -> bool:
  """It gives a text a likelihood of some kind."""
  return bool(likelihood.kinds_of(model.mask, model.objectives))


def is_run(model: Model) -> bool:
  """It was trained here, so its data are known."""
  return ', step ' in model.source


MODEL = '--weights={model}'
TASKS = '--task_data={folder}/tasks'
CASES = {
  'embed': Case('embed', (MODEL, '--input={folder}/lines.txt', '--output={out}.npy'), always),
  'search': Case(
    'embed',
    (MODEL, '--input={folder}/lines.txt', '--search=boat', '--pooling=last', '--json'),
    always,
  ),
  'fill_mask': Case('fill_mask', (MODEL, 'the {blank} of a river'), fills),
  'generate': Case('generate', (MODEL, '--prompt=the bank', '--max_tokens=4'), generates),
  'attention page': Case('attention', (MODEL, '--text=the bank', '--out={out}.html'), always),
  'attention figure': Case(
    'attention', (MODEL, '--text=the bank', '--out={out}.png', '--grid', '--json'), always
  ),
  'attention, two masks': Case(
    'attention', (MODEL, '--text=the bank', '--out={out}.html', '--mask=causal'), always
  ),
  'export': Case('convert', ('--export=hf', MODEL, '--to={out}'), None),
  'export of sentences': Case(
    'convert', ('--export=sentence-transformers', MODEL, '--to={out}'), None
  ),
  'batch': Case('batch', (MODEL, '--step=1'), is_run),
  'validation': Case('eval', (MODEL,), is_run),
}
EVALUATIONS = {
  'probes': Case('eval', (MODEL, '--tasks=probe_sst2,probe_mrpc,probe_conll2000', TASKS), always),
  'likelihoods': Case('eval', (MODEL, '--tasks=blimp,likelihood', TASKS, '--json'), scores),
  'poolings': Case(
    'poolings',
    (MODEL, '--tasks=mean,last', TASKS, '--groups=pairs.tsv', '--steps=2', '--batch_size=8'),
    always,
  ),
  'finetune': Case(
    'finetune',
    (
      MODEL,
      '--tasks=sst2,conll2000',
      TASKS,
      '--finetune_mask=same',
      '--steps=2',
      '--seeds=2',
      '--batch_size=2',
      '--max_length=32',
    ),
    always,
  ),
}
# Pairs of words that every vocabulary here has, so that no two groups share a text.
BESIDE = tuple(
  itertools.islice(itertools.combinations('bank river cash old fish boat'.split(), 2), 12)
)
REFUSALS = {2, 3}  # usage, and a model that cannot

# What runs by default; the rest takes minutes.
COMMON = ('bert_tiny_pairs, unrolled', 'gpt_tiny, scanned', 'prefix clm', 'import bert')
COMMON_EVALUATED = ('bert_tiny_pairs, unrolled',)


def all_kinds() -> dict[str, tuple]:
  """(function that makes it, what it needs) of every kind of model, by name."""
  found = {}
  for *_, name in kinds.alike():
    for layers, changes in kinds.LAYERS.items():
      found[f'{name}, {layers}'] = kinds.make_toy_run, (name, changes)
  for name, cell in kinds.CELLS.items():
    found[name] = kinds.make_toy_run, cell
  for name in kinds.IMPORTS:
    found[f'import {name}'] = kinds.make_import, (name,)
  return found


KINDS = all_kinds()


def by_kind(common: tuple[str, ...]):
  """Every kind of model, those that are not common marked as slow."""
  marks = {kind: [] if kind in common else [pytest.mark.slow] for kind in KINDS}
  return pytest.mark.parametrize('kind', [pytest.param(kind, marks=marks[kind]) for kind in KINDS])


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
  """Texts and a handful of examples of each task, as published."""
  folder = tmp_path_factory.mktemp('texts')
  kinds.corpus(folder)
  (folder / 'lines.txt').write_text('the old boat\nhe paid cash into the bank\n')
  header = 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n'
  mrpc = header + '1\t1\t2\tthe bank\tan old boat\n0\t1\t2\the paid\tfish\n' * 5
  chunks = 'he PRP B-NP\npaid VBD B-VP\nthe DT B-NP\nboats NNS I-NP\n. . O\n\n' * 6
  texts = {
    'sst2/train.txt': '1 a fine old boat\n0 he paid cash\n' * 5,
    'sst2/dev.txt': '0 no fish\n',
    'sst2/test.txt': '1 fine boat\n0 fish\n',
    **{f'mrpc/{split}.tsv': mrpc for split in ('train', 'val', 'test')},
    'sts/2013.boats.test.tsv': '4\tthe old boat\ta boat\n1\tfish\the paid cash\n',
    'pairs.tsv': 'score\tsentence1\tsentence2\n'
    + ''.join(f'{n % 5}\tthe {a} of {b}\ta {b} {a}\n' for n, (a, b) in enumerate(BESIDE)),
    'likelihood/text.txt': 'the old boat near the bank\nhe paid cash\n',
  }
  for name, text in texts.items():
    path = folder / 'tasks' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  for split in ('train', 'test'):
    path = folder / f'tasks/conll2000/{split}.txt.gz'
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(chunks.encode()))
  good_and_bad = dict(
    UID='river_agreement',
    linguistics_term='agreement',
    field='morphology',
    sentence_good='The bank of a river .',
    sentence_bad='The banks of a river .',
  )
  (folder / 'tasks/blimp').mkdir()
  with zipfile.ZipFile(folder / 'tasks/blimp/BLiMP.zip', 'w') as archive:
    archive.writestr('river_agreement.jsonl', json.dumps(good_and_bad))
  return folder


def wrong(case: Case, model: Model, answer: Answer) -> str | None:
  """What is wrong with how a program ended, or None."""
  if 'Traceback' in answer.err:
    return 'a traceback'
  if answer.code == 0:
    if case.can is not None and not case.can(model):
      return 'a result, where there can be none'
    return None if answer.out.strip() else 'no result and no words'
  if answer.code not in REFUSALS:
    return f'exit code {answer.code}'
  if case.can is not None and case.can(model):
    return 'no result'
  first, *more = answer.err.strip().splitlines()
  sentence = re.fullmatch(rf'{case.program}(\.py)?: .{{20,}}[.:]', first)
  indented = all(line.startswith(' ') for line in more)
  return None if sentence and indented else 'words that are not one sentence'


@pytest.fixture(scope='module')
def model_of(folder, tmp_path_factory) -> Callable[[str], tuple[Path, Model]]:
  """(directory, model) of a kind; made once, and read once by all programs."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(loading, 'load', functools.cache(loading.load))

    @functools.cache
    def made(kind: str) -> tuple[Path, Model]:
      directory = tmp_path_factory.mktemp('models') / 'model'
      make, what = KINDS[kind]
      make(*what, folder, directory)
      return directory, loading.load(directory)

    yield made


def problems(cases: dict[str, Case], directory: Path, model: Model, folder: Path, out: Path):
  """What is wrong with the answers of some programs about one model, with what they printed."""
  mask = model.tokenizer.mask
  blank = '[MASK]' if mask is None else model.tokenizer.token(mask)
  found = []
  for name, case in cases.items():
    words = dict(model=directory, folder=folder, out=out / name.replace(' ', '_'), blank=blank)
    answer = call(case.program, *(argument.format(**words) for argument in case.arguments))
    if problem := wrong(case, model, answer):
      found.append(f'{name}: {problem}\n{answer.out[-500:]}\n{answer.err[-1500:]}')
  return '\n'.join(found)


@by_kind(COMMON)
def test_every_program_answers_or_says_why_not(kind, model_of, folder, tmp_path):
  told = problems(CASES, *model_of(kind), folder, tmp_path)
  assert not told, told


@by_kind(COMMON_EVALUATED)
def test_every_evaluation_answers_or_says_why_not(kind, model_of, folder, tmp_path):
  told = problems(EVALUATIONS, *model_of(kind), folder, tmp_path)
  assert not told, told


def test_every_config_is_a_kind_and_every_family_too():
  configs = {name for group in kinds.alike() for name in group}
  assert configs == set(kinds.CONFIGS)
  named = {'xlm-roberta', 'camembert'}  # RoBERTa by other names
  assert {name.split()[0] for name in kinds.IMPORTS} == set(FAMILIES) - named
  assert {*COMMON, *COMMON_EVALUATED} <= KINDS.keys()
