"""What is measured, and the targets: data alone, for tools.bench and its workers."""

from tools.bench.kinds import (
  Depth,
  Embed,
  Feed,
  Finetune,
  Generate,
  Groups,
  LargeBatch,
  Start,
  Target,
  Tokenise,
  Train,
)

# Faster on a CPU: unrolled layers, which take longer to compile, and logits in chunks that fit into
# its caches.
_CPU = {'model.scan': False, 'loss_chunk': 256}
_NO_DROPOUT = {'model.dropout': 0.0, 'model.attention_dropout': 0.0}
# Positions that a published BERT has, so that the peer reads the same weights.
_LEARNED = {'model.positions': 'learned', 'model.dropout': 0.1, 'model.attention_dropout': 0.1}
_SMALL_PAIRS = dict(config='bert_tiny', rows=32, micro=32, T=64, steps=20, changes=_LEARNED)
_CONTRAST = dict(config='bert_mini', objective='contrast', micro=64)
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
    objective='nli',
    **_SMALL_PAIRS,
    targets=_TWICE,
  ),
  'groups-cosent': Groups(
    says='CoSENT, bert_tiny, 32 pairs',
    objective='cosent',
    **_SMALL_PAIRS,
    targets=_TWICE,
  ),
  'groups-contrast': Groups(
    says='contrast of 256 pairs in micro-batches of 64, BERT of 4 layers, width 256',
    rows=256,
    **_CONTRAST,
    targets=_TWICE,
  ),
  'batch-256': LargeBatch(
    says='contrast, BERT of 4 layers, width 256: 256 pairs in micro-batches of 64',
    rows=256,
    **_CONTRAST,
    targets=_CONSTANT,
  ),
  'batch-1024': LargeBatch(
    says='the same with 1,024 pairs', rows=1_024, **_CONTRAST, targets=_CONSTANT
  ),
  'batch-4096': LargeBatch(
    says='the same with 4,096 pairs', rows=4_096, **_CONTRAST, targets=_CONSTANT
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
