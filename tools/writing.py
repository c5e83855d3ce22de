"""Text from a causal network: prompts in, completions out."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from configs.check import ConfigError
from models.decode import Decoder
from models.sampling import Sampling
from tools.weights import Weights


class Completion(NamedTuple):
  """What was written after a prompt.

  Attributes:
    ids: every token that was drawn, also of a stop string or an end that the text leaves out.
    logprobs: of those, under the model before any rule of sampling; nats.
  """

  text: str
  ids: list[int]
  logprobs: list[float]


class Writer:
  """Writes with one network under one rule of sampling.

  Sample i of a prompt depends on the prompt, the seed and i, never on what else is written.

  Args:
    stop: a text ends before the first of these.
    roll: when the context is full, forget the older half; otherwise `check` refuses.
  """

  def __init__(self, weights: Weights, sampling: Sampling, *, seed: int, stop: tuple[str, ...] = (),
               roll: bool = False):
    if weights.mask != 'causal' or 'clm' not in weights.heads:
      raise ConfigError(
          f'{weights.source} reads both sides of a word (mask={weights.mask!r}, heads: '
          f'{", ".join(weights.heads) or "none"}), so it never learnt to write the next one. A causal model can '
          '(GPT-2, Llama, configs/gpt_tiny.py); this one can fill a blank: python -m tools.fill_mask.')
    self._weights, self._tokenizer = weights, weights.need_tokenizer()
    self._decoder = Decoder(weights.network, weights.config, weights.params, sampling)
    self._seed, self._stop, self._roll = seed, stop, roll

  def check(self, prompt: str, max_tokens: int):
    """Raises ConfigError where prompt and completion do not fit into the context."""
    length, context = len(self._ids(prompt)), self._weights.context
    if length + max_tokens > context and not self._roll:
      raise ConfigError(
          f'the prompt has {length:,} tokens, and with --max_tokens={max_tokens:,} more it does not fit into the '
          f'{context:,} of the model. Shorten one of them, or pass --overflow=roll, which forgets the oldest.')

  def write(self, prompt: str, max_tokens: int, samples: int = 1,
            stream: Callable[[str], None] | None = None) -> list[Completion]:
    """Completions of one prompt, written side by side; `stream` is told each piece of the first."""
    prompt_ids, context = self._ids(prompt), self._weights.context
    drawn: list[list[int]] = [[] for _ in range(samples)]
    logprobs: list[list[float]] = [[] for _ in range(samples)]
    ends: dict[int, int] = {}  # sample -> tokens it has
    row, held, told = None, 0, 0  # tokens that fill the context; characters that were streamed
    key = jax.random.key(self._seed)
    while len(ends) < samples:
      count = len(drawn[0])
      if row is None or held == context:
        texts = [prompt_ids + ids for ids in drawn]
        if len(texts[0]) >= context:
          texts = [ids[-(context // 2):] for ids in texts]
        held = len(texts[0])
        key, begun = jax.random.split(key)  # after a roll positions come again, and their draws must not
        row, logprob_B = self._decoder.start(
            [np.array(ids, np.int32) for ids in texts],
            [jax.random.fold_in(begun, index) for index in range(samples)], room=max_tokens - count)
      else:
        row, logprob_B = self._decoder.step(row)
        held += 1
      for index, (token, logprob) in enumerate(zip(np.asarray(row.token_B), np.asarray(logprob_B))):
        drawn[index].append(int(token))
        logprobs[index].append(float(logprob))
        over = count + 1 == max_tokens or token == self._tokenizer.end or self._stopped(drawn[index])
        if over and index not in ends:
          ends[index] = count + 1
      if stream is not None:
        text = self._text(drawn[0], 0 in ends)
        stream(text[told:])
        told = max(told, len(text))
    return [Completion(self._text(drawn[i][:end], True), drawn[i][:end], logprobs[i][:end])
            for i, end in sorted(ends.items())]

  def _ids(self, prompt: str) -> list[int]:
    ids = [int(token) for token in self._tokenizer.encode([prompt])[0]] if prompt else []
    return [self._tokenizer.begin, *ids] if self._weights.framed or not ids else ids

  def _stopped(self, ids: list[int]) -> bool:
    return any(stop in self._tokenizer.decode(ids) for stop in self._stop)

  def _text(self, ids: list[int], whole: bool) -> str:
    """The text of ids up to a stop; unless it is whole, without what the next token may still change."""
    if ids and ids[-1] == self._tokenizer.end:
      ids = ids[:-1]
    text = self._tokenizer.decode(ids)
    cut = min([text.find(stop) for stop in self._stop if stop in text], default=len(text))
    text = text[:cut]
    if not whole:
      text = text.rstrip('\ufffd')  # the first bytes of a character
      held = [n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n])]
      text = text[:len(text) - max(held, default=0)]
    return text
