"""What is measured, and the targets: data alone, for tools.bench and its workers."""

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


# Faster on a CPU: unrolled layers, which take longer to compile, and logits in chunks that fit into
# its caches.
_CPU = {'model.scan': False, 'loss_chunk': 256}
_NO_DROPOUT = {'model.dropout': 0.0, 'model.attention_dropout': 0.0}
# Positions that a published BERT has, so that the peer reads the same weights.
_LEARNED = {'model.positions': 'learned', 'model.dropout': 0.1, 'model.attention_dropout': 0.1}
_CONSTANT = (Target(of='memory_ratio', most=1.1),)
_TWICE = (Target(of='ratio', least=2.0),)
_GPU = {'model.dtype': 'bfloat16', **_NO_DROPOUT}
_MFU = Target(of='flops_fraction_of_peak', least=0.55), Target(of='ratio', least=1.3)

CPU = {
  'train-bert_base': Train(
    says='BERT-base MLM step, 8 x 128, 15%, dropout 0.1',
    config='bert_base',
    rows=8,
    T=128,
    steps=3,
    changes=_CPU,
    targets=(Target(of='ratio', least=1.3), Target(of='flops_fraction_of_peak', least=0.75)),
  ),
  'train-bert_base-no_dropout': Train(
    says='the same without dropout',
    config='bert_base',
    rows=8,
    T=128,
    steps=3,
    changes=_CPU | _NO_DROPOUT,
    targets=(Target(of='ratio', least=1.3), Target(of='flops_fraction_of_peak', least=0.75)),
  ),
  'train-bert_mini': Train(
    says='BERT of 4 layers, width 256, MLM step, 32 x 128',
    config='bert_mini',
    rows=32,
    T=128,
    steps=3,
    changes=_CPU,
    targets=(Target(of='ratio', least=3.5),),
  ),
  'train-bert_mini-documents': Train(
    says='the same on real documents: packed here, padded there',
    config='bert_mini',
    rows=32,
    T=128,
    steps=6,
    changes=_CPU,
    corpus=True,
    targets=(Target(of='ratio', least=5.0),),
  ),
  'train-gpt2_small': Train(
    says='GPT-2 124M CLM step, 4 x 256, in little memory: scanned layers, remat dots',
    config='gpt2_small',
    rows=4,
    T=256,
    steps=3,
    objective='clm',
    changes={'model.remat': 'dots', 'loss_chunk': 256},
    targets=(Target(of='ratio', least=1.2), Target(of='memory_ratio', most=0.7)),
  ),
  'train-gpt2_small-unrolled': Train(
    says='the same as fast as it goes: unrolled layers',
    config='gpt2_small',
    rows=4,
    T=256,
    steps=3,
    objective='clm',
    changes=_CPU,
    targets=(Target(of='ratio', least=1.2),),
  ),
  'generate-gpt2_small-1': Generate(says='GPT-2 124M writes, 1 row', rows=1),
  'generate-gpt2_small-8': Generate(says='GPT-2 124M writes, 8 rows', rows=8),
  'embed-minilm': Embed(
    says='vectors of ragged lines, MiniLM', lines=1_000, targets=(Target(of='ratio', least=1.5),)
  ),
  'finetune-sst2': Finetune(
    says='fine-tuning MiniLM on sentences, 16 of at most 128 tokens',
    task='sst2',
    targets=(Target(of='ratio', least=2.0),),
  ),
  'finetune-mrpc': Finetune(
    says='the same on pairs of sentences',
    task='mrpc',
    targets=(Target(of='ratio', least=2.0),),
  ),
  'groups-nli': Groups(
    says="SBERT's classifier of u, v and |u - v|, bert_tiny, 32 pairs",
    config='bert_tiny',
    objective='nli',
    rows=32,
    micro=32,
    T=64,
    steps=20,
    changes=_LEARNED,
    targets=_TWICE,
  ),
  'groups-cosent': Groups(
    says='CoSENT, bert_tiny, 32 pairs',
    config='bert_tiny',
    objective='cosent',
    rows=32,
    micro=32,
    T=64,
    steps=20,
    changes=_LEARNED,
    targets=_TWICE,
  ),
  'groups-contrast': Groups(
    says='contrast of 256 pairs in micro-batches of 64, BERT of 4 layers, width 256',
    config='bert_mini',
    objective='contrast',
    rows=256,
    micro=64,
    targets=_TWICE,
  ),
  'batch-256': LargeBatch(
    says='contrast, BERT of 4 layers, width 256: 256 pairs in micro-batches of 64',
    config='bert_mini',
    objective='contrast',
    rows=256,
    micro=64,
    targets=_CONSTANT,
  ),
  'batch-1024': LargeBatch(
    says='the same with 1,024 pairs',
    config='bert_mini',
    objective='contrast',
    rows=1_024,
    micro=64,
    targets=_CONSTANT,
  ),
  'batch-4096': LargeBatch(
    says='the same with 4,096 pairs',
    config='bert_mini',
    objective='contrast',
    rows=4_096,
    micro=64,
    targets=_CONSTANT,
  ),
  'start-bert_tiny-cold': Start(
    says='to the first step of bert_tiny, nothing compiled', targets=(Target(of='ours', most=12.0),)
  ),
  'start-bert_tiny-cached': Start(
    says='the same with --compiled', cached=True, targets=(Target(of='ours', most=6.0),)
  ),
  'compile-depth': Depth(
    says='compiling 24 layers against 2, scanned', targets=(Target(of='ours', most=1.25),)
  ),
  'input-packed': Feed(
    says='packed rows, one core', kind='packed', targets=(Target(of='ratio', least=20.0),)
  ),
  'input-pairs': Feed(
    says='sentence pairs, one core', kind='pairs', targets=(Target(of='ratio', least=20.0),)
  ),
  'input-tokenise': Tokenise(
    says='a corpus to token records', targets=(Target(of='ratio', least=0.9),)
  ),
}
GPU = {
  'gpu-bert_base': Train(
    says='BERT-base, bf16, 64 x 512',
    config='bert_base',
    rows=64,
    T=512,
    steps=10,
    changes=_GPU,
    device='cuda',
    targets=_MFU,
  ),
  'gpu-bert_large': Train(
    says='BERT-large, bf16, 32 x 512',
    config='bert_large',
    rows=32,
    T=512,
    steps=10,
    changes=_GPU,
    device='cuda',
    targets=_MFU,
  ),
  'gpu-gpt2_small': Train(
    says='GPT-2 124M, bf16, 32 x 1024',
    config='gpt2_small',
    rows=32,
    T=1024,
    steps=10,
    objective='clm',
    changes=_GPU,
    device='cuda',
    targets=_MFU,
  ),
  'gpu-gpt2_xl': Train(
    says='GPT-2 1.5B, bf16, 8 x 1024',
    config='gpt2_xl',
    rows=8,
    T=1024,
    steps=5,
    objective='clm',
    changes=_GPU | {'model.remat': 'full'},
    device='cuda',
    targets=_MFU,
  ),
}
SUITES = dict(cpu=CPU, gpu=GPU)
CASES = CPU | GPU

# Dense bfloat16 FLOP/s as NVIDIA's data sheets state them, by a part of the name that the driver
# gives.
STATED_PEAKS = {'H200': 989e12, 'H100': 989e12, 'A100': 312e12, 'L4': 121e12}
