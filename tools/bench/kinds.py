"""The kinds of things that are measured: what two workers do in turns, and what is asked of it."""

import dataclasses
from typing import ClassVar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
  """A bound on a number of a case's result.

  Attributes:
    of: a key of the result: ratio, ours, flops_fraction_of_peak, memory_ratio.
    least, most: the bound; one of them is set.
  """

  of: str
  least: float | None = None
  most: float | None = None

  def judge(self, result: dict) -> dict:
    """{of, least or most, value, met}; value and met are None if nothing was measured."""
    value = result.get(self.of)
    if self.most is None:
      bound, met = dict(least=self.least), value is not None and value >= self.least
    else:
      bound, met = dict(most=self.most), value is not None and value <= self.most
    return dict(of=self.of, **bound, value=value, met=None if value is None else met)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
  """Two workers that take turns at the same work.

  Attributes:
    unit: of both numbers.
    modules: {side: the program}; its arguments are side, case, folder and corpus.
    peer: what is on the other side, in words; '' for a case without.
    targets: what the result should reach.
    says: what the case is, in words.
  """

  unit: str = 'useful tokens/s'
  modules: ClassVar[dict[str, str]]
  peer: str = 'transformers'
  targets: tuple[Target, ...] = ()
  says: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(Case):
  """Training steps of a config with one objective: forward, backward, clipping and AdamW.

  Attributes:
    config: a file of configs/.
    rows, T: of a batch: rows, and tokens of a row.
    steps: in a round.
    changes: {config field: value}, by full names.
    corpus: real documents instead of full rows of random tokens: packed on our side, padded to the
      longest of the batch on the other, as DataCollatorForLanguageModeling does.
    device: of both sides, in the peer's words: cpu or cuda.
  """

  config: str
  rows: int
  T: int
  steps: int = 1
  objective: str = 'mlm'
  changes: dict = dataclasses.field(default_factory=dict)
  corpus: bool = False
  device: str = 'cpu'
  modules = dict(ours='tools.bench.train', peer='tools.bench.peer')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Case):
  """Greedy generation with GPT-2's 124M shape, float32, random weights.

  Attributes:
    rows: of a batch.
    prompt, new: tokens of a row's prompt, and tokens generated after it.
  """

  rows: int
  prompt: int = 32
  new: int = 64
  unit: str = 'tokens/s'
  modules = dict(ours='tools.bench.generate', peer='tools.bench.peer')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embed(Case):
  """Vectors of ragged lines: of the weights that are given, or of random ones of MiniLM's shape.

  Attributes:
    lines: of the corpus, drawn at random.
  """

  lines: int
  unit: str = 'lines/s'
  peer: str = 'sentence-transformers'
  modules = dict(ours='tools.bench.embed', peer='tools.bench.peer_embed')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finetune(Case):
  """Updates of train.py on a labelled task, its batches read meanwhile, against the Trainer's.

  The weights are those that are given, or random ones of MiniLM's shape; it needs --task_data.

  Attributes:
    task: as config.data.task names it.
    rows, T: examples of a batch, and tokens of one at most.
    steps: in a round, the first of the run each time. The peer sorts 50 batches by length.
  """

  task: str
  rows: int = 16
  T: int = 128
  steps: int = 50
  unit: str = 'examples/s'
  peer: str = 'the Trainer of transformers'
  modules = dict(ours='tools.bench.finetune', peer='tools.bench.peer_finetune')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups(Case):
  """Training steps on pairs of sentences: batches laid out, forward, backward, clipping and AdamW.

  Attributes:
    config: a file of configs/, whose trunk it is.
    objective: of those on groups of texts.
    rows: groups of a batch.
    micro: groups that are read at once.
    T: tokens of a text at most.
    steps: in a round.
    changes: {config field: value}, by full names.
  """

  config: str
  objective: str
  rows: int
  micro: int
  T: int = 32
  steps: int = 1
  changes: dict = dataclasses.field(default_factory=dict)
  unit: str = 'groups/s'
  peer: str = 'sentence-transformers'
  modules = dict(ours='tools.bench.groups', peer='tools.bench.peer_groups')


@dataclasses.dataclass(frozen=True, kw_only=True)
class LargeBatch(Groups):
  """The same against a batch that is one micro-batch: what a larger batch costs in memory."""

  peer: str = 'a batch of one micro-batch'
  modules = dict(ours='tools.bench.groups', peer='tools.bench.groups')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start(Case):
  """Seconds from the start of train.py to its first finished step, the data prepared.

  Attributes:
    cached: the compiled programs are on disk.
  """

  config: str = 'bert_tiny'
  cached: bool = False
  unit: str = 'seconds'
  peer: str = ''
  modules = dict(ours='tools.bench.start')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Depth(Case):
  """How much longer the step of a deep network takes to compile than that of a shallow one.

  Attributes:
    layers: the depths, the shallowest first.
  """

  config: str = 'bert_base'
  layers: tuple[int, ...] = (2, 12, 24)
  unit: str = 'times the time of the shallowest'
  peer: str = ''
  modules = dict(ours='tools.bench.start')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed(Case):
  """Batches as the training loop gets them, against the step that consumes them, on one core each.

  Attributes:
    kind: packed or pairs.
  """

  kind: str
  config: str = 'bert_tiny'
  peer: str = 'a training step of bert_tiny'
  modules = dict(ours='tools.bench.input', peer='tools.bench.input')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenise(Case):
  """A corpus to token records on disk, against the same texts through `tokenizers` alone."""

  unit: str = 'tokens/s'
  peer: str = 'tokenizers'
  modules = dict(ours='tools.bench.input', peer='tools.bench.input')
