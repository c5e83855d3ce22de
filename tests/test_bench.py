"""The bench: what it says follows from what was measured, and its targets judge both ways."""

import json

import pytest
from test_tools_cli import call

from tools.bench import page
from tools.bench.cases import CASES, CPU, GPU
from tools.bench.kinds import Target
from tools.bench.pairs import measure, summarise

LIMITS = [dict(seconds=1.0, peak_flops=100.0, peak_bytes=10.0)] * 3


def turns(work: int, *seconds: float, memory: int = 2**30, **more) -> list[dict]:
  return [
    dict(work=work, tokens=2 * work, seconds=taken, peak_memory_bytes=memory, **more)
    for taken in seconds
  ]


def result(name: str = 'train-bert_base') -> dict:
  facts = dict(
    ours=dict(flops=50.0, compile_seconds=4.0, useful_share=0.5),
    peer=dict(useful_share=0.5),
    limits={},
  )
  taken = dict(
    ours=turns(100, 1.0, 2.0, 1.0), peer=turns(100, 2.0, 2.0, 4.0, memory=2**31), limits=LIMITS
  )
  return summarise(name, CASES[name], facts, taken)


def test_numbers_are_medians_and_ratios_are_of_pairs():
  case = result()
  assert case['ours'] == 100 and case['peer'] == 50 and case['ratio'] == 2  # of 2, 1 and 4
  assert (
    case['flops_fraction_of_peak'] == 0.5
    and case['memory_ratio'] == 0.5
    and case['compile_seconds'] == 4
  )
  assert case['ours_details']['lowest'] == 50 and case['ours_details']['tokens_per_second'] == 200


def test_targets_say_met_or_missed_and_by_how_much():
  ratio, share = result()['targets']
  assert ratio['met'] and not share['met'] and share['value'] == 0.5
  rows = page.rows_of(result())
  assert rows['target ratio'].endswith('met') and rows['target share of matmul peak'].endswith(
    'missed by 33%'
  )
  most = Target(of='memory_ratio', most=0.7)
  assert (
    most.judge(dict(memory_ratio=0.7))['met'] and not most.judge(dict(memory_ratio=0.71))['met']
  )
  assert most.judge(dict(memory_ratio=None))['met'] is None


def test_saved_results_replace_those_of_the_same_case_and_redraw_the_page(tmp_path):
  path = tmp_path / 'benchmarks.json'
  (tmp_path / 'benchmarks.md').write_text(f'before\n{page._BEGIN}\nold\n{page._END}\nafter\n')
  page.merge(path, [result()])
  page.merge(path, [result('train-gpt2_small'), result() | dict(ratio=3.25)])
  saved = json.loads(path.read_text())['cases']
  assert [case['name'] for case in saved] == ['train-bert_base', 'train-gpt2_small'] and saved[0][
    'ratio'
  ] == 3.25
  text = (tmp_path / 'benchmarks.md').read_text()
  assert (
    text.startswith('before\n')
    and text.endswith('after\n')
    and 'old' not in text
    and '| 3.25 |' in text
  )
  assert (tmp_path / 'benchmarks.png').read_bytes().startswith(b'\x89PNG')


def test_every_case_of_training_has_a_target_and_a_peer():
  for name, case in (CPU | GPU).items():
    assert case.says, name
    assert case.targets or name.startswith('generate'), name


@pytest.mark.slow
def test_a_case_is_measured_in_processes(tmp_path):
  text = tmp_path / 'text.txt'
  text.write_text(
    '\n\n'.join(
      f'The old man number {index} sat by the river. It was deep.' for index in range(400)
    )
  )
  found = measure('input-packed', against='none', rounds=1, corpus=f'text:{text}')
  assert (
    found['ratio'] > 1 and found['peer_is'] == 'a training step of bert_tiny' and found['machine']
  )


@pytest.mark.slow
def test_vectors_of_lines_are_measured(tmp_path):
  (text := tmp_path / 'text.txt').write_text(
    '\n\n'.join(f'The old man {n} sat.' for n in range(90))
  )
  found = measure('embed-minilm', against='none', rounds=1, corpus=f'text:{text}')
  assert found['ours'] > 0 and found['ratio'] is None and found['unit'] == 'lines/s'


@pytest.mark.slow
def test_the_gpu_suite_says_that_it_needs_one():
  said = call('bench', '--suite=gpu', '--against=none', '--only=gpu-bert_base', '--rounds=1')
  assert said.returncode == 6 and 'needs a GPU' in said.stderr, said.stderr
