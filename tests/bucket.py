"""A store of objects within this process: gs:// for tests, as strict as the real one.

Folders are only prefixes of names, there is no append, and a listing is of this moment. It is
fsspec's memory under the name that etils asks for;
tests/test_object_store.py runs whole processes against a server instead.
"""

from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from runtime import storage


class Bucket(MemoryFileSystem):
  protocol = ('gs', 'gcs')
  store: dict = {}
  pseudo_dirs = ['']
  cachable = False

  def mkdir(self, path, create_parents=True, **kwargs):
    del create_parents, kwargs
    assert '/' in self._strip_protocol(path).strip('/'), f'{path}: nobody may make a bucket'

  def makedirs(self, path, exist_ok=False):
    del exist_ok
    self.mkdir(path)

  def _open(self, path, mode='rb', **kwargs):
    assert 'a' not in mode and '+' not in mode, (
      f'{path} was opened as {mode}: objects are written whole'
    )
    return super()._open(path, mode, **kwargs)

  @classmethod
  def _strip_protocol(cls, path):
    return '/' + str(path).partition('://')[2 if '://' in str(path) else 0].strip('/')

  def info(self, path, **kwargs):
    found = super().info(path, **kwargs)
    kept = self.store.get(self._strip_protocol(path))
    # as Google's client calls it
    return found if kept is None else found | dict(mtime=kept.modified)

  def rename(self, *_, **__):
    raise AssertionError('objects have no rename')


def mount(monkeypatch):
  """gs://BUCKET/... is an empty store until the end of the test."""
  backend.fsspec_backend._get_filesystem.cache_clear()
  monkeypatch.setattr(Bucket, 'store', {})
  monkeypatch.setattr(Bucket, 'pseudo_dirs', [''])
  for name in Bucket.protocol:
    monkeypatch.setitem(_registry, name, Bucket)
  monkeypatch.setattr(storage, 'SCHEMES', {'gs': ('fsspec', 'gcs')})
