"""A program begins anew with large pages, once, with the same
arguments, unless somebody decided otherwise.
"""

import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
SWITCH = Path('/sys/kernel/mm/transparent_hugepage/enabled')
PROGRAM = """
import os, sys
from runtime import allocator
allocator.reexec_with_huge_pages()
block = bytearray(256 * 2**20)
block[::4096] = b"x" * len(block[::4096])
lines = [line for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")]
large = sum(int(line.split()[1]) for line in lines)
print(os.getpid(), os.environ["GLIBC_TUNABLES"] or "nothing", large // 1024, *sys.argv[1:])
"""


def said(**environment) -> tuple[int, list[str]]:
  env = {
    name: value for name, value in os.environ.items() if name != 'GLIBC_TUNABLES'
  } | environment
  program = subprocess.Popen(
    [sys.executable, '-c', PROGRAM, '--a', 'b c'],
    cwd=ROOT,
    env=env,
    text=True,
    stdout=subprocess.PIPE,
  )
  return program.pid, program.communicate(timeout=600)[0].split()


@pytest.mark.skipif(
  not SWITCH.exists() or '[madvise]' not in SWITCH.read_text(),
  reason='Linux does not leave it to programs here whether they get large pages',
)
def test_the_program_is_the_same_process_with_the_same_arguments_and_has_large_pages():
  pid, (its_pid, tunables, large_mib, *arguments) = said()
  assert (
    int(its_pid) == pid and tunables == 'glibc.malloc.hugetlb=1' and arguments == ['--a', 'b', 'c']
  )
  assert int(large_mib) >= 200


def test_who_has_set_the_variable_is_left_alone():
  assert said(GLIBC_TUNABLES='')[1][1:2] == ['nothing']
