"""Fine-tunes a model on a labelled task of your own, many seeds at once, under two masks.

  python examples/finetune.py runs/mine

The argument is a run, an import, or a Hugging Face directory with tokenizer. The task asks whether
a sentence says "not": what a mean over the tokens can see under any mask.
"""

import argparse
from pathlib import Path

from data.tasks.labelled import Example, Task
from training import load
from training.finetune import Recipe, finetune

WORDS = 'the river is deep and old'.split()


def task() -> Task:
  """Sentences with and without a "not", in a split to train on and one to test."""
  examples = []
  for number in range(120):
    words = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 6)]
    label = number % 2
    if label:
      words.insert(number % 5, 'not')
    examples.append(Example((' '.join(words),), label))
  return Task(
    'negation', 'text', ('without', 'with'), dict(train=examples[:80], test=examples[80:])
  )


def main(directory: str, steps: int, seeds: int):
  model = load.load(Path(directory))
  for mask in ('bidirectional', 'causal'):
    recipe = Recipe(
      mask=mask,
      pooling='mean',
      seeds=tuple(range(seeds)),
      steps=steps,
      epochs=1.0,
      batch_size=16,
      learning_rate=1e-3,
      warmup_share=0.1,
      weight_decay=0.01,
      max_length=min(32, model.context),
    )
    found = finetune(
      model.config, model.params, model.need_tokenizer(), task(), recipe, split='test'
    )
    print(
      f'{mask:>13}: {found["unit"]} {found["value"]:.3f} ± {found["std"]:.3f} over {seeds} seeds, '
      f'majority baseline {found["baselines"]["majority"]:.3f}'
    )


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('directory', help='a run, an import, or a Hugging Face directory')
  parser.add_argument('steps', nargs='?', type=int, default=60)
  parser.add_argument('seeds', nargs='?', type=int, default=4)
  main(**vars(parser.parse_args()))
