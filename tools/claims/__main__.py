"""Says which published numbers hold here: python -m tools.claims [all|FILE|FILE:ID] [--workdir=DIR]

It is `python eval.py --claim=...` under a name of its own. Claims are the files of claims/;
docs/claims.md says how a number is held against its paper.
"""

from runtime import cli

cli.flags.DEFINE_string('claim', None, 'FILE or FILE:ID of claims/, or all, which is the default.')
cli.define_weights('The run, or the folder of the sweep, that the claims are about.')
cli.define_json('One JSON list of answers instead of tables.')


def main():
  from tools.claims import measure  # imports jax: only now that the flags are known to be good

  flags = cli.FLAGS
  measure.answer(flags.claim or 'all', flags.weights, as_json=flags.json)


if __name__ == '__main__':
  cli.run(main, positional='claim')
