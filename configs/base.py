"""Every knob of onemask, its default, and what it means: the only place where defaults live.

A config file starts from `get_config()` and changes values. The result is locked, so a name that is
not here cannot be invented by accident;
`configs.schema.check` says which real name was probably meant.
"""

import re

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict()

  config.name = 'base'  # names the default workdir: runs/<name>-<hash of the config>
  config.seed = 0  # every batch, mask and dropout draw is a pure function of (seed, step)
  config.steps = 1_000  # optimiser updates; follows from the budget, where that is not 'steps'
  config.budget = 'steps'  # what is spent: steps | tokens | flops | predictions
  config.budget_amount = 0.0  # of tokens (padding counted), FLOPs or predictions; 0 with 'steps'
  config.batch_size = 32  # sequences an update, over all devices and micro-batches
  # micro-batches an update; 0 = as few as fit in memory (same gradient either way)
  config.accumulate = 0
  config.platform = 'auto'  # auto | cpu | gpu | tpu: anything but auto refuses to run elsewhere

  # The cell of the grid that the run is for: a mask, and how much each objective counts (mlm, mntp,
  # clm, nsp, sop). bidirectional | causal | prefix: a random share of each document from both sides
  config.mask = 'bidirectional'
  config.objectives = dict(mlm=1.0)
  # What trains when, where it is not that cell throughout: stages, as shares of the steps ('1
  # causal+clm, 3 bidirectional+mlm'), or rows, as shares of every
  # batch ('1 causal+clm & 7 bidirectional+mntp').
  config.schedule = ''
  # workdir of a finished run whose parameters this one begins with; '' = random ones
  config.init_from = ''
  config.negative_control = False  # train a cell that sees its answers; its loss must collapse
  # predictions whose vocabulary-wide logits exist at once, on each device
  config.loss_chunk = 2_048

  config.mlm = dict(
    rate=0.15,  # share of a row's tokens to predict, special tokens counted (as published)
    # share at the last step, straight from `rate` (GPT-BERT: 0.3 to 0.15); 0 = `rate` throughout
    final_rate=0.0,
    # Fixed maskings a row has, used in turn (BERT 10, RoBERTa's "static" 1); 0 = dynamic masking.
    fixed_maskings=0,
    masked=0.8,  # of those: shown as [MASK] ...
    random=0.1,  # ... shown as a random token; the rest is shown unchanged
    unit='token',  # token | word | span: what is masked as a whole
    span_mean=3.0,  # words; geometric span lengths, for unit='span'
    span_max=10,  # words; longest span
    random_from_specials=True,  # random tokens come from the whole vocabulary (as published)
  )

  config.data = dict(
    # wiki_leads | gutenberg | text:PATH | tfds:NAME |
    # synthetic:NAME | more in data/corpora/sources.py
    corpus='wiki_leads',
    cache='~/.cache/onemask',  # downloads and tokenised rows, keyed by content
    # train: wordpiece | bpe | words | characters; or load: vocab.txt | tokenizer.json
    tokenizer='wordpiece',
    lowercase=True,  # wordpiece: lower-case and strip accents
    sequence_length=128,  # T, tokens a row
    short_length=0,  # T of the first phase (BERT: 128 before 512); 0 = one phase only
    short_share=0.0,  # share of the steps that the first phase takes
    # sentence pairs: share drawn with a random shorter target (as published)
    short_pair_share=0.1,
    # hash: documents, by a hash of their text | tail: the
    # corpus is one text, and its end is held out
    split='hash',
    validation_share=0.05,  # of the documents, or of the characters of the one text
    # more [UNK] than this is an error: the tokenizer does not know the script
    max_unknown_share=0.05,
  )

  config.model = dict(
    # V, rows of the embedding; a trained tokenizer has at most as many entries
    vocab_size=30_522,
    layers=12,  # L
    width=768,  # D
    heads=12,  # H
    kv_heads=0,  # G, key/value heads; 0 = H
    head_width=0,  # K; 0 = D / H
    feed_forward=3_072,  # F
    embedding_width=0,  # E, factorised embeddings (ALBERT); 0 = D
    max_length=512,  # rows of the position table
    positions='learned',  # learned | sinusoidal | rotary | none
    position_offset=0,  # first row in use of the position table (RoBERTa: 2)
    rotary_base=10_000.0,
    segment_types=2,  # sentence A / sentence B embeddings; 0 = none
    norm='layer',  # layer | rms
    norm_position='post',  # post (BERT) | pre (GPT-2)
    norm_epsilon=1e-12,
    embedding_norm=True,  # normalise the sum of the embeddings
    final_norm=False,  # normalise after the last layer (pre-LN needs it)
    qk_norm=False,  # each head's queries and keys over their root mean square, without parameters
    activation='gelu',  # gelu (erf) | gelu_tanh | relu | relu_squared | silu
    gated=False,  # gated feed-forward (GLU)
    bias=True,  # biases in linear layers and norms
    shared_layers=False,  # one set of layer parameters used L times (ALBERT)
    tie_embeddings=True,  # the output projection is the input embedding
    shared_head=False,  # clm reads the head of mlm, one head for both (GPT-BERT)
    classes=2,  # that a head for sequences or tokens tells apart (fine-tuning)
    classifier_activation='tanh',  # before the classifier of sequences: tanh | relu (DistilBERT)
    init_scale=0.02,  # standard deviation of the initial kernels
    init_truncated=True,  # truncated at two standard deviations (BERT); else normal (GPT-2)
    init_depth_scaled=False,  # residual projections / sqrt(2 L) (GPT-2)
    # residual projections begin at 0, so that every block begins as nothing
    init_residual_zero=False,
    dropout=0.1,  # on embeddings and residual branches
    # on attention probabilities: only `reference` can, so fused kernels need 0
    attention_dropout=0.1,
    # auto | reference | xla | cudnn (GPU) | splash (TPU): a name never falls back
    attention='auto',
    dtype='float32',  # of activations: float32 | bfloat16; parameters and softmax stay float32
    scan=True,  # layers as one scanned body: compile time flat in depth; False = unrolled
    # Which positions the last of unrolled layers computes: whole: all | read: those that a head
    # reads, which is a sixth of a row for mlm and one for nsp. The results are the same.
    last_layer='read',
    # Computed again in the backward pass, to save memory: none | dots: all but products with
    # parameters | full: whole layers. On the CPU it saves memory with scan only.
    remat='none',
  )

  config.optimizer = dict(
    name='adamw',  # adamw | muon: the trunk's kernels by Muon, all else by AdamW
    learning_rate=1e-4,  # peak; of the trunk's kernels where Muon has them
    adam_learning_rate=0.0,  # muon: peak for all else; 0 = learning_rate
    muon_beta=0.95,  # muon: decay of its momentum
    schedule='linear',  # after warm-up: linear | cosine | wsd | constant
    warmup_steps=100,
    decay_share=0.2,  # wsd: last share of the steps, in which the rate falls
    final_share=0.0,  # learning rate at the last step / peak
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-6,
    bias_correction=False,  # BERT's Adam has none
    # decoupled, times the learning rate; kernels and embeddings, not biases and norms
    weight_decay=0.01,
    clip=1.0,  # global gradient norm; 0 = off
    average=0.0,  # decay of an exponential average of the parameters; 0 = off
  )

  # Devices along each axis; -1 = all that remain. Rows are split over
  # data and fsdp, parameters over fsdp and tensor.
  config.mesh = dict(data=-1, fsdp=1, tensor=1)
  # seconds without progress (or 10 median steps, if longer) that end a run; 0 = never
  config.watchdog_seconds = 300.0

  config.validation = dict(
    every=500,  # steps; the last step always
    first=True,  # step 0 too: what the run began with
    batch_size=64,  # sequences; changes speed only
    rate=0.15,  # MLM is always scored at this rate, with frozen token-level 80/10/10 masks
    seed=0,  # of those masks and of the validation sentence pairs
    extra_cells='',  # more cells to score, as in 'causal+clm, bidirectional+mlm'
  )

  config.checkpoint = dict(every=500, keep=2)  # steps; the newest `keep` are kept
  config.log = dict(every=1, tensorboard=True)  # steps between rows of metrics.jsonl

  return config.lock()


# What may differ when a run resumes, each named in --allow_change; everything else is refused.
FREE_ON_RESUME = (
  'steps',
  'accumulate',
  'platform',
  'loss_chunk',
  'data.cache',
  'model.attention',
  'model.scan',
  'model.last_layer',
  'model.remat',
  'optimizer.learning_rate',
  'optimizer.final_share',
  'mesh',
  'watchdog_seconds',
  'validation.every',
  'validation.first',
  'validation.batch_size',
  'checkpoint',
  'log',
)


def with_arguments(config: ml_collections.ConfigDict, arg: str) -> ml_collections.ConfigDict:
  """Applies what follows the colon in
  `--config=FILE:corpus=NAME,mesh=NAME`: the structural choices there are.
  """
  for pair in filter(None, arg.split(',')):
    name, equals, value = pair.partition('=')
    if name not in ('corpus', 'mesh') or not equals or not value:
      raise ValueError(
        f'config argument {pair!r}: expected corpus=NAME or mesh=NAME, as in '
        ':corpus=wikipedia,mesh=fsdp.'
      )
    if name == 'corpus':
      config.data.corpus = value
    else:
      config.mesh = mesh(value)
  return config


def mesh(name: str) -> dict[str, int]:
  """The mesh that a preset names: replicated, fsdp, tensor, or
  a product as in fsdp+tensor4 or data2+fsdp.

  An axis without a number takes the devices that remain.
  """
  words = {'replicated': 'data'}.get(name, name).split('+')
  found = [re.fullmatch('(data|fsdp|tensor)([1-9][0-9]*)?', word) for word in words]
  sizes = {match[1]: int(match[2] or -1) for match in found if match}
  if len(sizes) < len(words):
    raise ValueError(
      f'mesh={name!r}: expected replicated, fsdp, tensor, or a product of data, fsdp and tensor '
      'with numbers of devices, as in fsdp+tensor4.'
    )
  return dict(data=1, fsdp=1, tensor=1) | sizes
