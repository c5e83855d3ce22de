"""Languages whose every probability is known: automata that emit documents of one length.

In a state, an automaton emits a word and goes to another state, both at random. A model sees the
words and not the states. The lowest loss that any model can reach follows from exact inference over
the states: evaluation/synthetic/bounds.py computes it.

Axes: Z, states; W, words; T, positions of a document; N, documents.
"""

from collections.abc import Callable, Iterator
import dataclasses
import hashlib
import itertools
import json

import numpy as np

DOCUMENTS = 50_000  # of a corpus
LENGTH = 30  # words of a document; with the two tokens that frame it, a row of 32
VERSION = 1  # of the draws: raise it when other documents come out of the same language
_CHUNK = 1_000  # documents drawn at once


@dataclasses.dataclass(frozen=True)
class Language:
  """A stochastic automaton over Z states and W words.

  Attributes:
    words: what is written, none with a space in it.
    start_Z: probability of the state before the first word.
    step_WxZxZ: p(word, next state | state), as [word, state, next state].
    end_Z: 1 where a document may end, else 0; documents are drawn given that theirs does.
    length: words of every document.
  """

  words: tuple[str, ...]
  start_Z: np.ndarray
  step_WxZxZ: np.ndarray
  end_Z: np.ndarray
  length: int

  @property
  def sha256(self) -> str:
    """Of all that decides a document but how it is drawn, so that no cache outlives a change."""
    probabilities = self.start_Z, self.step_WxZxZ, self.end_Z
    # rounded: the last bits of a probability may be another machine's
    numbers = [array.round(12).tolist() for array in probabilities]
    content = [self.words, self.length, *numbers]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()

  def hope_TxZ(self) -> np.ndarray:
    """p(the document can end | state before word t), for t from 0 to `length`."""
    any_ZxZ = self.step_WxZxZ.sum(axis=0)  # p(next state | state)
    hope = [self.end_Z]
    for _ in range(self.length):
      hope.append(any_ZxZ @ hope[-1])
    return np.array(hope[::-1])

  def sample(self, count: int, seed: int) -> np.ndarray:
    """Words of `count` documents by number, int32; the first
    ones are the same whatever the count.
    """
    hope_TxZ = self.hope_TxZ()
    Z = len(self.start_Z)
    start_Z = self.start_Z * hope_TxZ[0]
    first_1xZ = start_Z.cumsum()[None] / start_Z.sum()
    cumulative_TxZxWZ = [self._cumulative_ZxWZ(hope_Z) for hope_Z in hope_TxZ[1:]]
    chunks = []
    for first in range(0, count, _CHUNK):
      uniform_TxN = np.random.default_rng((seed, first)).random((self.length + 1, _CHUNK))
      state_N = _draw(first_1xZ, uniform_TxN[0])
      word_TxN = np.empty((self.length, _CHUNK), np.int32)
      for t, cumulative_ZxWZ in enumerate(cumulative_TxZxWZ):
        drawn_N = _draw(cumulative_ZxWZ[state_N], uniform_TxN[t + 1])
        word_TxN[t], state_N = np.divmod(drawn_N, Z)
      chunks.append(word_TxN.T)
    return np.concatenate(chunks)[:count]

  def _cumulative_ZxWZ(self, hope_Z: np.ndarray) -> np.ndarray:
    """Cumulative p(word, next state | state, the document can end), (word, next state) on one axis.

    Args:
      hope_Z: p(the document can end | next state).
    """
    joint_WxZxZ = self.step_WxZxZ * hope_Z
    joint_ZxWZ = joint_WxZxZ.transpose(1, 0, 2).reshape(len(hope_Z), -1)
    cumulative_ZxWZ = joint_ZxWZ.cumsum(axis=1)
    return cumulative_ZxWZ / np.maximum(cumulative_ZxWZ[:, -1:], 1e-300)


def open_language(name: str) -> Language:
  """The language of this name; raises KeyError if there is none."""
  return LANGUAGES[name]()


def documents(language: Language, count: int, seed: int = 0) -> Iterator[str]:
  """`count` documents, words separated by spaces; the first ones are the same for every count."""
  for word_T in language.sample(count, seed):
    yield ' '.join(language.words[word] for word in word_T)


def ambiguous(clauses: int = LENGTH // 5) -> Language:
  """A word with two senses, settled by the last word of its clause: `the bank_1 is near water`.

  The word itself names its sense, bank_1 or bank_2, each half of the time; nothing before it tells
  which. Every other word of a clause is drawn independently. So a causal model has to guess the
  sense, and a bidirectional one reads it from the last word.
  """
  slots = [
    ('the', 'a', 'this', 'that'),
    ('bank_1', 'bank_2'),
    ('is', 'was'),
    ('near', 'beside'),
  ]
  cues = [('river', 'water', 'boat', 'fish'), ('money', 'loan', 'cash', 'gold')]
  words = tuple(itertools.chain(*slots, *cues))
  number = {word: index for index, word in enumerate(words)}
  # States: 0 before the clause, 1 before the noun, then 2 + 2 * (words since the noun) + sense.
  step_WxZxZ = np.zeros((len(words), 8, 8))
  for word in slots[0]:
    step_WxZxZ[number[word], 0, 1] = 1 / len(slots[0])
  for sense in (0, 1):
    noun = slots[1][sense]
    step_WxZxZ[number[noun], 1, 2 + sense] = 1 / 2
    for since, slot in enumerate(slots[2:]):
      state = 2 + 2 * since + sense
      for word in slot:
        step_WxZxZ[number[word], state, state + 2] = 1 / 2
    for word in cues[sense]:
      step_WxZxZ[number[word], 6 + sense, 0] = 1 / len(cues[sense])
  return Language(words, np.eye(8)[0], step_WxZxZ, np.ones(8), 5 * clauses)


def hidden_markov(
  length: int = LENGTH, topics: int = 3, stays: float = 0.9, own: float = 0.8
) -> Language:
  """A hidden Markov model: a topic that mostly stays, and words that mostly are the topic's own.

  A causal model can do no better than filtering, a bidirectional one no better than smoothing.

  Args:
    stays: probability that the topic of the next word is that of this one; else it is one of the
      others.
    own: probability that a word is one of the two of its topic; else it is one of the others.
  """
  words = tuple(f'{letter}{n}' for letter in 'abcdefgh'[:topics] for n in (1, 2))
  same_ZxZ = np.eye(topics)
  transition_ZxZ = stays * same_ZxZ + (1 - stays) / (topics - 1) * (1 - same_ZxZ)
  owns_ZxW = np.repeat(same_ZxZ, 2, axis=1)
  emission_ZxW = own / 2 * owns_ZxW + (1 - own) / (2 * topics - 2) * (1 - owns_ZxW)
  step_WxZxZ = emission_ZxW.T[:, :, None] * transition_ZxZ[None]
  return Language(words, np.full(topics, 1 / topics), step_WxZxZ, np.ones(topics), length)


def brackets(nests: int = LENGTH // 5, kinds: int = 4) -> Language:
  """Two nested brackets of any kinds, and a letter, again and again: `( [ ] ) x { { } } y`.

  A closing bracket is of the kind of its opening one. A causal model has seen that one, so it knows
  every closing bracket and no opening one; to a bidirectional model they are equally easy. The
  states are the stacks.
  """
  pairs, letters = ('()', '[]', '{}', '<>')[:kinds], ('x', 'y')
  opening, closing = zip(*pairs)
  words = (*opening, *closing, *letters)
  one = [(kind,) for kind in range(kinds)]
  two = list(itertools.product(range(kinds), repeat=2))
  states = ['begin', *one, *two, *(('close', *stack) for stack in one), 'letter']
  number = {state: index for index, state in enumerate(states)}
  step_WxZxZ = np.zeros((len(words), len(states), len(states)))
  for a in range(kinds):
    step_WxZxZ[a, number['begin'], number[a,]] = 1 / kinds
    step_WxZxZ[kinds + a, number['close', a], number['letter']] = 1
    for b in range(kinds):
      step_WxZxZ[b, number[a,], number[a, b]] = 1 / kinds
      step_WxZxZ[kinds + b, number[a, b], number['close', a]] = 1
  step_WxZxZ[2 * kinds :, number['letter'], number['begin']] = 1 / len(letters)
  begin_Z = np.eye(len(states))[0]
  return Language(words, begin_Z, step_WxZxZ, begin_Z, 5 * nests)


LANGUAGES: dict[str, Callable[[], Language]] = dict(
  ambiguous=ambiguous, hidden_markov=hidden_markov, brackets=brackets
)


def _draw(cumulative_NxX: np.ndarray, uniform_N: np.ndarray) -> np.ndarray:
  """Samples an index a row by inverting a cumulative distribution; one row serves all draws."""
  return (cumulative_NxX[:, :-1] <= uniform_N[:, None]).sum(axis=1)
