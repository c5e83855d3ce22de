"""The rows of metrics.jsonl as TensorBoard events. The only file that imports tensorboardX."""

import os
import time

from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

_FLUSH_EVERY_S = 2


class Board:
  """Writes one event per row.

  It uses EventsWriter, because tensorboardX's SummaryWriter cannot be told to empty its queue: a
  killed run would then lack rows of steps that its checkpoint has.
  """

  def __init__(self, folder: epath.Path, resume_step: int):
    folder.mkdir(parents=True, exist_ok=True)
    # File names have a resolution of seconds. Without the suffix a quick restart would overwrite
    # the file of the run before it.
    self._events = EventsWriter(
      str(folder / 'events'), filename_suffix=f'.{os.getpid()}.{resume_step}'
    )
    # Tells TensorBoard to hide what a killed run wrote from this step on.
    start = SessionLog(status=SessionLog.START)
    self._events.write_event(Event(wall_time=time.time(), step=resume_step, session_log=start))
    self.flush()

  def write(self, row: dict):
    values = [
      Summary.Value(tag=name, simple_value=value)
      for name, value in row.items()
      if isinstance(value, int | float) and name != 'step'
    ]
    self._events.write_event(
      Event(wall_time=time.time(), step=row['step'], summary=Summary(value=values))
    )
    if time.monotonic() - self._flushed > _FLUSH_EVERY_S:
      self.flush()

  def flush(self):
    self._events.flush()
    self._flushed = time.monotonic()

  def close(self):
    self._events.close()
