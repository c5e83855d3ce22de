"""Items as they arrive, in chunks: many where many are there, few where they are slow to come."""

from collections.abc import Iterable, Iterator
import queue
import threading

_ENOUGH = 8  # chunks that are read ahead
_END = object()


def chunks(items: Iterable, most: int) -> Iterator[list]:
  """Lists of at most `most` items, none of which waits for the next one.

  An error of `items` is raised after the items before it.
  """
  waiting: queue.Queue = queue.Queue(_ENOUGH * most)

  def read():
    try:
      for item in items:
        waiting.put(item)
      waiting.put(_END)
    except Exception as error:  # raised where the items are used
      waiting.put(error)

  # it may be reading what never comes, which is to keep no program from its end
  threading.Thread(target=read, daemon=True).start()
  while True:
    chunk = [waiting.get()]
    while len(chunk) < most and not _last(chunk[-1]) and not waiting.empty():
      chunk.append(waiting.get())
    last = chunk.pop() if _last(chunk[-1]) else None
    if chunk:
      yield chunk
    if isinstance(last, Exception):
      raise last
    if last is not None:
      return


def _last(item) -> bool:
  return item is _END or isinstance(item, Exception)
