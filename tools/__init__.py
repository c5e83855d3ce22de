import sys

if sys.argv[0] == '-m':  # python -m tools.NAME looks for its file: the first line of ours that runs
  from runtime import interrupt

  interrupt.guard()
