"""The rows of metrics.jsonl as TensorBoard shows them. The only file that knows tensorboardX."""

import os
import time

from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

_FLUSH_EVERY_S = 2


class Board:
  """One event a row. The SummaryWriter of tensorboardX cannot be told to empty its queue, so a
  killed run would lack rows that its checkpoint says were done."""

  def __init__(self, folder: epath.Path, resume_step: int):
    folder.mkdir(parents=True, exist_ok=True)
    # The suffix, because names have seconds only: a quick
    # restart would write over the events before it.
    self._events = EventsWriter(
      str(folder / 'events'), filename_suffix=f'.{os.getpid()}.{resume_step}'
    )
    start = SessionLog(status=SessionLog.START)  # hides what a killed run wrote from this step on
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
