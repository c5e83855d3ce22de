"""Which files are the splits of a task of one's own: a file, a folder, or a file a split."""

from collections.abc import Sequence
import difflib
from pathlib import Path

from data import compressed
from data.errors import DataError

# What files of each split are called, before the ending.
_NAMES = dict(
  train=('train', 'training'), validation=('validation', 'valid', 'val', 'dev'), test=('test',)
)
SPLITS = tuple(_NAMES)
_PACKED = ('', *compressed.ENDINGS.values())


def find(kind: str, where: str, endings: Sequence[str]) -> dict[str, Path]:
  """{split: file}, `train` among them.

  Args:
    kind: what stands before the colon of config.data.task, or groups for config.data.groups.
    where: the path of a file to train on; of a folder that holds a file a split, as train.csv and
      test.csv; or files by split, as train=a.csv,test=b.csv.
    endings: of the file names in a folder, each also with that of a compression behind it.

  Raises:
    DataError: a file is not there, or nothing is there to train on.
  """
  if '=' in where:
    files = _named(kind, where)
  else:
    path = Path(where).expanduser()
    files = _in_folder(kind, path, endings) if path.is_dir() else dict(train=path)
  for split, path in files.items():
    if not path.is_file():
      raise DataError(f'{_asked(kind, where)}: {_no_file(path, split, where)}')
  if 'train' not in files:
    raise DataError(
      f'{_asked(kind, where)}: nothing to train on, only {", ".join(files)}. Name a file, a '
      f'folder with train{endings[0]}, or train=FILE,validation=FILE,test=FILE'
    )
  return {split: files[split] for split in SPLITS if split in files}


def ending(path: Path) -> str:
  """The ending of a file's name, under that of a compression."""
  return (Path(path.stem) if path.suffix in _PACKED[1:] else path).suffix.lower()


def _asked(kind: str, where: str | Path) -> str:
  """The knob with its value, as it was written."""
  return f'data.groups={where}' if kind == 'groups' else f'data.task={kind}:{where}'


def _no_file(path: Path, split: str, where: str) -> str:
  """What is wrong with the path of a split."""
  which = f'{path}, the {split} split: ' if str(path) != where else ''
  if path.exists():
    return f'{which}is no file'
  there = path.parent.iterdir() if path.parent.is_dir() else ()
  near = difflib.get_close_matches(path.name, [one.name for one in there], 1)
  return f'{which}no such file' + (f'. Did you mean {path.with_name(near[0])}?' if near else '')


def _named(kind: str, where: str) -> dict[str, Path]:
  files = {}
  for part in where.split(','):
    split, equals, path = part.partition('=')
    if not equals or split not in SPLITS or not path or split in files:
      raise DataError(
        f'{_asked(kind, where)}: {part!r} is not one of train=FILE, validation=FILE, test=FILE, '
        'each once'
      )
    files[split] = Path(path).expanduser()
  return files


def name_of(where: str) -> str:
  """What a task is called in results: its first file or its folder, without endings."""
  return first_path(where).name.split('.')[0]


def first_path(where: str) -> Path:
  """The file or folder that a task names, the first one where it names several."""
  return Path(where.partition(',')[0].rpartition('=')[2])


def _in_folder(kind: str, folder: Path, endings: Sequence[str]) -> dict[str, Path]:
  files = {}
  for split, names in _NAMES.items():
    wanted = {f'{name}{end}{packed}' for name in names for end in endings for packed in _PACKED}
    found = [path for path in sorted(folder.iterdir()) if path.name.lower() in wanted]
    if len(found) > 1:
      raise DataError(
        f'{_asked(kind, folder)}: {" and ".join(path.name for path in found)} could both be the '
        f'{split} split: move one away, or name the files: '
        f'{_asked(kind, f"train=FILE,{split}=FILE")}'
      )
    if found:
      files[split] = found[0]
  if not files:
    there = ', '.join(sorted(path.name for path in folder.iterdir())[:8]) or 'nothing'
    raise DataError(
      f'{_asked(kind, folder)}: no train{endings[0]} in this folder; it holds {there}'
    )
  return files
