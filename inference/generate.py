"""Text from a causal network: prompts in, completions out."""

from collections.abc import Callable
import dataclasses
import time
from typing import NamedTuple

import jax
import numpy as np

from configs.schema.check import ConfigError
from inference.decode import Decoder
from inference.model import Model
from inference.sampling import Sampling
from runtime import finite


class Completion(NamedTuple):
  """What was generated after a prompt.

  Attributes:
    text: up to the stop string or the end token, which it leaves out.
    ids: every token that was drawn, also of what the text leaves out.
    logprobs: of those, under the model before any rule of sampling; nats.
  """

  text: str
  ids: list[int]
  logprobs: list[float]


class Written(NamedTuple):
  """Completions of each prompt, and the speed.

  Attributes:
    tokens_per_second: over all rows, in calls that compiled nothing; 0 where every call did.
  """

  completions: list[list[Completion]]
  tokens_per_second: float


@dataclasses.dataclass
class _Row:
  """A text that is being generated.

  Attributes:
    index: number of the sample among those of its prompt.
    prompt: the text before it.
    before: its tokens.
    view: what the network sees: prompt and drawn tokens, less what a full context made it forget.
    forgot: how often it did; positions repeat then, and their draws must not.
    done: it has reached its end.
  """

  index: int
  prompt: str
  before: list[int]
  view: list[int]
  ids: list[int] = dataclasses.field(default_factory=list)
  logprobs: list[float] = dataclasses.field(default_factory=list)
  forgot: int = 0
  done: bool = False


class Generator:
  """Generates with one network under one rule of sampling.

  Sample i of a prompt depends on the prompt, the seed and i, never on the rest of the batch.

  Args:
    seed: of the sampler.
    stop: a text ends before the first of these, also where one begins in the prompt.
    roll: when the context is full, forget the older half; otherwise `check` refuses.

  Raises:
    ConfigError: the model is bidirectional, or was not trained with clm, or its files ask for a
      rule that is not done here; or a stop is empty.
  """

  def __init__(
    self,
    model: Model,
    sampling: Sampling,
    *,
    seed: int,
    stop: tuple[str, ...] = (),
    roll: bool = False,
  ):
    if model.mask == 'bidirectional' or 'clm' not in model.heads:
      reason = 'is bidirectional' if model.mask == 'bidirectional' else 'was not trained with clm'
      heads = ', '.join(model.heads) or 'none'
      raise ConfigError(
        f'{model.source} {reason} (mask={model.mask!r}, heads: {heads}), so it cannot generate '
        'text. A causal model can (GPT-2, Llama, configs/gpt_tiny.py). A model with an MLM head '
        'can fill masks: python -m tools.fill_mask.'
      )
    if '' in stop:
      raise ConfigError('--stop is empty, and every text would end before it. Name a text.')
    self._model, self._tokenizer = model, model.need_tokenizer()
    if model.ends is not None:
      model.ends.refuse_unknown()
    own = None if model.ends is None else model.ends.begin
    self._begin = self._tokenizer.bos if own is None else own
    self._ends = {self._tokenizer.eos} if model.ends is None else {*model.ends.ends}
    self._decoder = Decoder(model.network, model.config, model.params, sampling)
    self._seed, self._stop, self._roll = seed, stop, roll

  def check(self, prompt: str, max_tokens: int):
    """Raises ConfigError where prompt and completion do not fit into the context."""
    length, context = len(self._ids(prompt)), self._model.context
    if length + max_tokens > context and not self._roll:
      raise ConfigError(
        f'the prompt has {length:,} tokens, and with --max_tokens={max_tokens:,} more it does not '
        f'fit into the {context:,} of the model. Shorten one of them, or pass --overflow=roll, '
        'which forgets the oldest.'
      )

  def write(
    self,
    prompts: list[str],
    max_tokens: int,
    samples: int = 1,
    stream: Callable[[str], None] | None = None,
  ) -> Written:
    """All completions of all prompts, generated as one batch.

    Args:
      max_tokens: new tokens of each, at most.
      samples: completions of each prompt.
      stream: called with each new part of the first text.
    """
    rows = []
    for prompt in prompts:
      before = self._ids(prompt)
      shown = before if prompt else []
      rows += [_Row(index, prompt, shown, list(before)) for index in range(samples)]
    state, streamed = None, 0  # characters
    seconds, tokens = 0.0, 0
    while unfinished := [row for row in rows if not row.done]:
      full = self._forget(unfinished)
      started, programs = time.monotonic(), self._decoder.programs
      if state is None or full:
        state, logprob_B = self._decoder.start(
          [np.array(row.view, np.int32) for row in rows],
          self._keys(rows),
          room=max_tokens - len(unfinished[0].ids),
        )
      else:
        state, logprob_B = self._decoder.step(state)
      token_B, logprob_B = np.asarray(state.token_B), np.asarray(logprob_B)
      finite.check(logprob_B, f'the probabilities of {self._model.source}')
      if self._decoder.programs == programs:  # compiled nothing
        seconds += time.monotonic() - started
        tokens += len(unfinished)
      for row, token, logprob in zip(rows, token_B.tolist(), logprob_B.tolist()):
        if not row.done:
          self._append(row, token, logprob, max_tokens)
      if stream is not None:
        text = self._text(rows[0], rows[0].done)
        stream(text[streamed:])
        streamed = max(streamed, len(text))
    completions = [Completion(self._text(row, True), row.ids, row.logprobs) for row in rows]
    return Written(
      [completions[start : start + samples] for start in range(0, len(rows), samples)],
      tokens / seconds if seconds else 0.0,
    )

  def _forget(self, rows: list[_Row]) -> list[_Row]:
    """The rows whose context was full, and which therefore lost their older half."""
    context = self._model.context
    full = [row for row in rows if len(row.view) >= context]
    for row in full:
      row.view = row.view[-(context // 2) :]
      row.forgot += bool(row.ids)
    return full

  def _append(self, row: _Row, token: int, logprob: float, max_tokens: int):
    """Adds a drawn token to a text, and says whether that was its last."""
    row.view.append(token)
    row.ids.append(token)
    row.logprobs.append(logprob)
    ended = token in self._ends or len(row.ids) == max_tokens
    row.done = ended or self._stopped(row)

  def _keys(self, rows: list[_Row]) -> list[jax.Array]:
    """The sampler's key of each row."""
    seed = jax.random.key(self._seed)
    return [jax.random.fold_in(jax.random.fold_in(seed, row.forgot), row.index) for row in rows]

  def _ids(self, prompt: str) -> list[int]:
    """The tokens of a prompt; never none."""
    ids = [int(token) for token in self._tokenizer.encode([prompt])[0]] if prompt else []
    if self._model.add_bos:
      return [self._tokenizer.bos, *ids]
    return ids or [self._begin]

  def _written(self, row: _Row) -> str:
    """The text of the tokens that were drawn, as it goes on from the prompt."""
    ids = row.ids[:-1] if row.ids and row.ids[-1] in self._ends else row.ids
    text = self._tokenizer.decode_after(row.before, ids)
    # a space at the end of a prompt may be in no token, and is not written a second time
    dropped = row.prompt[-1:].isspace() and not self._tokenizer.decode(row.before)[-1:].isspace()
    return text.removeprefix(' ') if dropped else text

  def _stopped(self, row: _Row) -> bool:
    return bool(self._stop) and self._stop_in(row, self._written(row)) is not None

  def _stop_in(self, row: _Row, text: str) -> int | None:
    """Where the first stop begins that ends in a text; below 0 where it begins in the prompt."""
    found = []
    for stop in self._stop:  # what lies in the prompt alone has stopped nothing
      tail = row.prompt[max(0, len(row.prompt) - len(stop) + 1) :]
      place = (tail + text).find(stop)
      if place >= 0:
        found.append(place - len(tail))
    return min(found, default=None)

  def _text(self, row: _Row, whole: bool) -> str:
    """What was written up to a stop; unless whole, without what the next token may change."""
    text = self._written(row)
    stop = self._stop_in(row, text)
    if stop is not None:
      return text[: max(stop, 0)]
    if not whole:
      text = text.rstrip('\ufffd')  # the first bytes of a character
      seen = row.prompt + text
      held = [n for stop in self._stop for n in range(1, len(stop)) if seen.endswith(stop[:n])]
      text = text[: max(0, len(text) - max(held, default=0))]
    return text
