"""The log of a run has every step once, in order, with
every bit; however often the run was killed.
"""

import json
import math
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from training import metrics
from training.metrics import MetricsLog, batch_hash


def log(folder, steps, *, resume_step=0, tensorboard=False, offset=0.0):
  written = MetricsLog(folder, resume_step=resume_step, tensorboard=tensorboard)
  for step in steps:
    written.write({'step': step, 'train/loss': step + offset, 'batch_hash': f'{step:016x}'})
  return written


def steps_of(folder) -> list[int]:
  return [row['step'] for row in metrics.read(folder)]


def test_float32_values_come_back_to_the_last_bit(tmp_path):
  values = np.random.default_rng(0).normal(size=100).astype(np.float32) * np.float32(1e-3)
  written = MetricsLog(tmp_path, resume_step=0, tensorboard=False)
  for step, value in enumerate(values):
    written.write(dict(step=step, x=float(value)))
  written.close()
  assert np.array_equal(
    np.asarray([row['x'] for row in metrics.read(tmp_path)], np.float32), values
  )


def test_a_row_can_be_read_as_soon_as_it_is_written_and_is_one_json_line(tmp_path):
  log(tmp_path, range(3))
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(line)['step'] for line in lines] == [0, 1, 2]


def test_what_is_not_finite_is_a_word_because_json_has_no_nan(tmp_path):
  written = MetricsLog(tmp_path, resume_step=0, tensorboard=False)
  written.write(dict(step=0, x=math.nan, y=math.inf))
  text = (tmp_path / 'metrics.jsonl').read_text()
  assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == dict(
    step=0, x='nan', y='inf'
  )


@pytest.mark.parametrize(
  'torn', ['', '{"step": 7, "tra', '{', '7', '\x00\x00\x00', '[7]', '{"tokens": 3}']
)
def test_a_resumed_run_drops_what_it_will_write_again_and_what_was_torn(torn, tmp_path):
  log(tmp_path, range(7)).close()
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write(torn)
  assert steps_of(tmp_path) == list(range(7))
  log(tmp_path, range(4, 9), resume_step=4, offset=0.5).close()
  assert steps_of(tmp_path) == list(range(9))
  assert [row['train/loss'] for row in metrics.read(tmp_path)] == [
    0,
    1,
    2,
    3,
    4.5,
    5.5,
    6.5,
    7.5,
    8.5,
  ]


def test_a_kill_while_the_log_is_cut_loses_no_row(tmp_path, monkeypatch):
  log(tmp_path, range(7)).close()
  path = type(metrics.epath.Path(tmp_path))
  monkeypatch.setattr(path, 'replace', lambda *_: pytest.xfail('killed'))
  with pytest.raises(pytest.xfail.Exception):
    log(tmp_path, [], resume_step=4)
  assert steps_of(tmp_path) == list(range(7))


def test_a_run_without_a_log_reads_as_no_rows(tmp_path):
  assert metrics.read(tmp_path) == []


def events(folder) -> list[Event]:
  """TensorBoard events in the order of their files."""
  found = []
  for path in sorted((folder / 'tensorboard').iterdir(), key=lambda path: path.stat().st_mtime_ns):
    content, at = path.read_bytes(), 0
    while at < len(content):
      length, crc = struct.unpack_from('<QI', content, at)
      assert crc == masked_crc32c(content[at : at + 8])
      found.append(Event.FromString(content[at + 12 : at + 12 + length]))
      at += 16 + length
  return found


def test_tensorboard_has_the_rows_before_a_checkpoint_even_after_a_kill_and_drops_those_after_it(
  tmp_path,
):
  killed = log(tmp_path, range(6), tensorboard=True)
  killed.flush()  # and never closed
  log(tmp_path, range(4, 8), resume_step=4, tensorboard=True, offset=0.5).close()
  losses = {}
  for event in events(tmp_path):
    if event.session_log.status == SessionLog.START:
      losses = {step: loss for step, loss in losses.items() if step < event.step}
    for value in event.summary.value:
      if value.tag == 'train/loss':
        losses[event.step] = value.simple_value
  assert losses == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4.5, 5: 5.5, 6: 6.5, 7: 7.5}


def batch(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
  random = np.random.default_rng(seed)
  return {name: random.integers(0, 99, (rows, 5), np.int32) for name in ('token', 'segment')} | {
    'id': np.arange(rows, dtype=np.int32)
  }


def part(whole: dict, rows: slice) -> dict:
  return {name: array[rows] for name, array in whole.items()}


def test_hashes_of_the_parts_that_processes_hold_add_up_to_the_hash_of_the_batch():
  whole = batch(8)
  parts = [
    batch_hash(part(whole, [first, first + 3]), local_rows=[first, first + 3])
    for first in (0, 1, 2)
  ]
  parts += [batch_hash(part(whole, [6, 7]), local_rows=[6, 7])]
  assert sum(parts) % 2**64 == batch_hash(whole) < 2**64


def test_the_hash_sees_every_token_name_and_the_order_of_rows():
  whole = batch(4)
  changed = part(whole, slice(None)) | {
    'token': whole['token'] + (np.arange(20).reshape(4, 5) == 7)
  }
  others = [
    changed,
    batch(4, seed=1),
    part(whole, [1, 0, 2, 3]),
    part(whole, slice(3)),
    {'type' if name == 'token' else name: array for name, array in whole.items()},
    whole | {'token': whole['segment'], 'segment': whole['token']},
  ]
  hashes = {batch_hash(other) for other in [whole, *others]} | {
    batch_hash(whole, local_rows=range(4, 8))
  }
  assert len(hashes) == 8
  assert batch_hash(dict(reversed(whole.items()))) == batch_hash(whole)
