"""Continues a prompt: python -m tools.generate --weights=DIR --prompt="Once upon a time".

DIR is a Hugging Face directory of a GPT-2 or Llama, or the workdir of a run. Without --prompt, each
line of --prompts=FILE, or of standard input, is one, blank lines left out. Text goes to the
terminal as it is written; --json prints one object a prompt. The same seed writes the same text.
"""

import json
from pathlib import Path
import sys

from configs.schema.check import ConfigError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Prompts')
cli.flags.DEFINE_string('prompt', None, 'The text to continue; may be empty.')
cli.flags.DEFINE_string('prompts', None, 'A file of prompts, one a line.')
cli.flags.DEFINE_integer('max_tokens', 64, 'At most so many new tokens.', lower_bound=1)
cli.group('How tokens are drawn')
cli.flags.DEFINE_float(
  'temperature', 0.8, 'Above 1 bolder, below 1 safer; 0 takes the likeliest token.', lower_bound=0
)
cli.flags.DEFINE_integer('top_k', 0, 'Draw from the k likeliest tokens; 0 = all.', lower_bound=0)
cli.flags.DEFINE_float(
  'top_p', 1.0, 'Draw from the likeliest tokens with this probability together.', 1e-6, 1
)
cli.flags.DEFINE_float('min_p', 0.0, 'Draw from tokens with this share of the likeliest one.', 0, 1)
cli.flags.DEFINE_float(
  'repetition_penalty', 1.0, 'Above 1, tokens that are there already become less likely.', 1e-3, 1e3
)
cli.group('How much is written')
cli.flags.DEFINE_integer('batch_size', 8, 'Prompts generated at once.', lower_bound=1)
cli.flags.DEFINE_integer('samples', 1, 'Number of completions per prompt.', lower_bound=1)
cli.flags.DEFINE_multi_string(
  'stop', [], 'End before this text, which may begin in the prompt; may be given several times.'
)
cli.flags.DEFINE_integer('seed', 0, 'Seed of the sampler.', lower_bound=0)
cli.flags.DEFINE_enum(
  'overflow',
  'error',
  ['error', 'roll'],
  'When the context is full: an error before anything is written, or forget the older half and go '
  'on.',
)
cli.flags.DEFINE_bool('logprobs', False, 'Show the probability of the text, nats a token.')
cli.define_json('Print one JSON object a prompt instead of text.')


def main():
  flags = cli.FLAGS
  prompts = _prompts(flags)

  from inference.generate import Generator
  from inference.sampling import Sampling
  from training import load as loading

  weights = loading.load(loading.flag(), step=flags.step)
  sampling = Sampling(
    temperature=flags.temperature,
    top_k=flags.top_k,
    top_p=flags.top_p,
    min_p=flags.min_p,
    repetition_penalty=flags.repetition_penalty,
  )
  writer = Generator(
    weights, sampling, seed=flags.seed, stop=tuple(flags.stop), roll=flags.overflow == 'roll'
  )
  if weights.ends is not None and (advice := weights.ends.advice()):
    print(advice, file=sys.stderr)
  for prompt in prompts:
    writer.check(prompt, flags.max_tokens)
  stream = None
  if len(prompts) == 1 and flags.samples == 1 and not flags.json:
    stream = lambda text: print(text, end='', flush=True)
    print(prompts[0], end='', flush=True)
  for start in range(0, len(prompts), flags.batch_size):
    batch = prompts[start : start + flags.batch_size]
    written = writer.write(batch, flags.max_tokens, flags.samples, stream)
    for number, (prompt, completions) in enumerate(zip(batch, written.completions), start):
      if flags.json:
        print(
          json.dumps(
            dict(
              prompt=prompt,
              completions=[one._asdict() for one in completions],
              tokens_per_second=written.tokens_per_second,
            )
          ),
          flush=True,
        )
      else:
        print('\n' * bool(number), end='')
        _show(prompt, completions, streamed=stream is not None, logprobs=flags.logprobs)


def _show(prompt: str, completions: list, *, streamed: bool, logprobs: bool):
  for index, completion in enumerate(completions):
    if len(completions) > 1:
      print(f'--- {index + 1} of {len(completions)}')
    print('' if streamed else f'{prompt}{completion.text}')
    if logprobs:
      mean = sum(completion.logprobs) / max(1, len(completion.logprobs))
      print(f'[{mean:.4f} nats a token, {len(completion.ids)} tokens]', flush=True)


def _prompts(flags) -> list[str]:
  if flags.prompt is not None:
    return [flags.prompt]

  from data import lines

  if flags.prompts is not None:
    found = lines.read_lines(Path(flags.prompts).expanduser())
  elif not sys.stdin.isatty():
    found = lines.lines_of([sys.stdin.buffer.read()], 'standard input')
  else:
    raise ConfigError('--prompt="..." is missing; or --prompts=FILE, or lines on standard input.')
  prompts = [line for line in found if not lines.is_blank(line)]
  if not prompts:
    raise ConfigError('there is no prompt in the file or on standard input.')
  lines.say_left_out('generate', len(found) - len(prompts))
  return prompts


if __name__ == '__main__':
  cli.run(main)
