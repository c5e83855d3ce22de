"""Every knob of onemask with its default and its meaning; defaults are nowhere else.

A config file starts from `get_config()` and changes values. The result is locked: a name that is
not here is an error, and `configs.schema.check` suggests the name that was probably meant.
"""

import re

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the default config, locked: BERT-base's network, one mask x objective pair (cell)."""
  config = ml_collections.ConfigDict()

  config.name = 'base'  # names the default workdir: runs/<name>-<hash of the config>
  config.seed = 0  # every batch, mask and dropout draw is a pure function of (seed, step)
  config.steps = 1_000  # optimiser updates; computed from the budget if that is not 'steps'
  config.budget = 'steps'  # unit of the run's budget: steps | tokens | flops | predictions
  config.budget_amount = 0.0  # tokens (padding counted), FLOPs or predictions; 0 with 'steps'
  config.batch_size = 32  # sequences per update, over all devices and micro-batches
  config.accumulate = 0  # micro-batches per update, same gradient; 0 = as few as fit in memory
  config.platform = 'auto'  # auto | cpu | gpu | tpu; a run refuses to start on another than named

  # The cell that the run is for: a mask, and the weight of each objective in the loss.
  # bidirectional | causal | prefix: a random share of each document is read bidirectionally. With
  # data.task a whole text is prefix, and `same` is the mask of init_from.
  config.mask = 'bidirectional'
  # of mlm, mntp, clm, nsp, sop; beside mlm, mntp or clm distill, distill_row, distill_hidden, which
  # learn from distill.teacher: then a weight may be 0, of what is measured and not learned. With
  # data.task one of classify, tag, answer, choose, rank, and beside it mlm, mntp or clm.
  config.objectives = dict(mlm=1.0)
  # Trains other cells than that one: in stages, as shares of the steps ('1 causal+clm, 3
  # bidirectional+mlm'), or side by side, as shares of every batch ('1 causal+clm & 7
  # bidirectional+mntp'). '' = that cell throughout.
  config.schedule = ''
  # Workdir of a run, an import, or with data.task a Hugging Face directory, whose parameters this
  # run starts with; '' = random. With data.task its network and tokenizer are taken, too.
  config.init_from = ''
  # Layers of init_from that this network begins with, from 0, as '0 2 4 7 9 11'; '' = all of them.
  config.init_layers = ''
  config.negative_control = False  # train a cell that sees its targets; its loss must collapse
  config.loss_chunk = 2_048  # predictions whose V-wide logits exist at once, on each device

  # How a labelled task is learned.
  config.finetune = dict(
    # What a classifier of texts reads: the first token (BERT), the last (GPT), or the mean of all.
    # auto: the first, or under a causal mask, where it has seen nothing, the last.
    pooling='auto',
    label_smoothing=0.0,  # share of the probability that is asked of all classes alike
    class_weights='equal',  # equal | balanced: as rare as a class is, so much it counts
    n_best=20,  # answers: first and last tokens that are tried, and answers that are kept
    longest_answer=30,  # tokens
    # Runs of seed, seed + 1, ..., trained as one: they differ in head, order and dropout. Scores
    # are means over them, and the weights of the best one are used.
    seeds=1,
  )

  config.mlm = dict(
    rate=0.15,  # share of a row's tokens to predict, special tokens counted (as published)
    final_rate=0.0,  # rate at the last step, linear from `rate` (GPT-BERT: 0.3 to 0.15); 0 = `rate`
    fixed_maskings=0,  # maskings per row, cycled (BERT 10, RoBERTa's "static" 1); 0 = dynamic
    masked=0.8,  # share of the predicted tokens that are replaced by [MASK]
    random=0.1,  # share of them that are replaced by a random token; the rest stays unchanged
    unit='token',  # what is masked as a whole: token | word | span | ngram
    span_mean=3.0,  # mean length of a span, words; lengths are geometric
    span_max=10,  # longest span or n-gram, words; n-grams of n words are drawn ~ 1/n (ALBERT)
    # Tokens are masked in proportion to their count in the corpus to the power of -smoothing, as in
    # XLM and DistilBERT (0.7): rare ones more often, special ones never. 0 = all alike.
    smoothing=0.0,
    random_from_specials=True,  # random tokens may be special tokens (as published)
  )

  # A frozen network that the objectives distill, distill_row and distill_hidden learn from.
  config.distill = dict(
    # Workdir of a run, an import or a Hugging Face directory, with the tokenizer of this run.
    teacher='',
    temperature=2.0,  # divides the logits of both before they are compared
  )

  # Objectives on vectors of texts: contrast, cosent, angle, cosine, triplet, margin.
  config.vectors = dict(
    scale=20.0,  # of cosines in contrast, cosent and angle: 1 / temperature
    directions='query_to_doc',  # contrast; also +doc_to_query +query_to_query +doc_to_doc
    partition='joint',  # contrast: joint, all directions in one softmax | per_direction
    distance='euclidean',  # triplet: euclidean | manhattan | cosine
    margin=5.0,  # triplet, in that distance
    dimensions='',  # Matryoshka: first dimensions that count too, as '384 128:0.5'; '' = all alone
  )

  config.data = dict(
    # wiki_leads | gutenberg | text:PATH | tfds:NAME | synthetic:NAME | more in
    # data/corpora/sources.py | several as one: mix:wiki_leads wiki_leads_es text:PATH, or with
    # shares of the rows before each: mix:9 gutenberg 1 wiki_leads
    corpus='wiki_leads',
    # S: a mix without shares reads a corpus in proportion to its size ** S, and its vocabulary is
    # trained so (mBERT: 0.7); 1 = as they are, 0 = all alike
    mix_exponent=0.7,
    cache='~/.cache/onemask',  # downloads and tokenised rows, keyed by content
    # train one: wordpiece | bpe | roberta_bpe | unigram | words | characters; or load a file:
    # vocab.txt | tokenizer.json; or extend:FILE+N, WordPiece with N new entries behind its own
    tokenizer='wordpiece',
    lowercase=True,  # wordpiece, unigram: lower-case and strip accents
    # Rows of a corpus. packed: documents side by side that do not see each other | full_sentences:
    # whole sentences in order, on into the next document | doc_sentences: on to its end (RoBERTa) |
    # segment_pairs: two runs of sentences (BERT) | sentence_pairs: two sentences. auto: packed, and
    # segment_pairs with nsp or sop.
    rows='auto',
    sequence_length=128,  # T, tokens per row
    short_length=0,  # T of the first phase (BERT: 128 before 512); 0 = one phase only
    short_share=0.0,  # share of the steps that the first phase takes
    short_pair_share=0.1,  # share of sentence pairs with a random shorter length (as published)
    # How validation documents are chosen. hash: by a hash of their text | tail: the corpus is one
    # text, and its end is held out.
    split='hash',
    validation_share=0.05,  # of the documents, or of the characters of the one text
    max_unknown_share=0.05,  # [UNK] above this share is an error: a tokenizer of another script
    # Labelled texts, in place of the corpus: csv:PATH, tsv:PATH, jsonl:PATH, conll:PATH,
    # squad:PATH, choices:PATH or ranked:PATH, where PATH is a file, a folder with a file a split,
    # or train=FILE,test=FILE; or a set of data/tasks/.
    task='',
    task_files='',  # the folder with the files of a set of data/tasks/, or tfds
    columns='',  # text=NAME,label=NAME or text_a=NAME,text_b=NAME,label=NAME; '' = by their names
    stride=128,  # tokens that windows of one long text share, where questions are about it
    labels='auto',  # what they are: class (one a text) | several | number; auto: as they look
    # Or groups of texts, for objectives on vectors: a .jsonl, .tsv or .csv file, a folder with a
    # file a split, or train=FILE,test=FILE. '' = none.
    groups='',
    score_scale=1.0,  # scores of pairs are divided by it: 5 makes 0 to 5 a 0 to 1
    # Put before the first text of a group, and before every other: kept with the model as its
    # prompts `query` and `document`.
    query_prompt='',
    document_prompt='',
  )

  config.model = dict(
    vocab_size=30_522,  # V, rows of the embedding; a trained tokenizer has at most as many entries
    layers=12,  # L
    width=768,  # D
    heads=12,  # H
    kv_heads=0,  # G, key/value heads; 0 = H
    head_width=0,  # K; 0 = D / H
    feed_forward=3_072,  # F
    embedding_width=0,  # E, embeddings projected to D (ALBERT); 0 = D, without projection
    max_length=512,  # rows of the position table
    positions='learned',  # learned | sinusoidal | rotary | none
    position_offset=0,  # first row in use of the position table (RoBERTa: 2)
    rotary_base=10_000.0,  # base of the wavelengths of rotary positions
    window=0,  # tokens that a windowed layer sees to each side, itself not counted; 0 = no window
    global_every=1,  # layers 0, n, 2n, ... see the whole row, the others a window; 0 = none does
    window_rotary_base=0.0,  # rotary base of windowed layers; 0 = rotary_base
    segment_types=2,  # sentence A / sentence B embeddings; 0 = none
    norm='layer',  # layer | rms
    norm_position='post',  # post (BERT) | pre (GPT-2)
    norm_epsilon=1e-12,  # added to the variance
    embedding_norm=True,  # normalise the sum of the embeddings
    final_norm=False,  # normalise after the last layer (pre-LN needs it)
    skip_first_norm=False,  # no norm before the first attention, after embedding_norm (ModernBERT)
    qk_norm=False,  # each head's queries and keys over their root mean square, without parameters
    activation='gelu',  # gelu (erf) | gelu_tanh | relu | relu_squared | silu
    gated=False,  # gated feed-forward (GLU)
    bias=True,  # biases in linear layers
    norm_bias='same',  # biases in norms: same, as in linear layers | yes | no
    shared_layers=False,  # one set of layer parameters used L times (ALBERT)
    tie_embeddings=True,  # the output projection is the input embedding
    plain_mlm=False,  # the head of mlm is the output projection alone (EuroBERT)
    shared_head=False,  # clm uses the head of mlm, one head for both (GPT-BERT)
    classes=2,  # classes of a head for sequences or tokens (fine-tuning)
    classifier_activation='tanh',  # before the classifier of sequences: tanh | relu (DistilBERT)
    # Heads for labels as stock classes of GPT-2 and Llama have them: of texts neither that layer
    # nor a bias; of words and answers a bias, whatever `bias` says.
    plain_heads=False,
    # Heads for labels as those of ModernBERT: dense, activation and norm before a classifier with a
    # bias; with plain_heads without that bias.
    normed_heads=False,
    # Vectors of texts. pooling: mean | first | last | max | weighted_mean | mean_sqrt_len_tokens.
    pooling='mean',
    projection=0,  # width of a linear map behind the pooling; 0 = none
    projection_activation='tanh',  # of that map: identity | tanh | any other activation
    unit_vectors=False,  # vectors at length 1
    init_scale=0.02,  # standard deviation of the initial kernels
    init_truncated=True,  # truncated at two standard deviations (BERT); else normal (GPT-2)
    init_depth_scaled=False,  # residual projections / sqrt(2 L) (GPT-2)
    init_residual_zero=False,  # residual projections start at 0: each block starts as the identity
    dropout=0.1,  # on embeddings and residual branches
    head_dropout=False,  # dropout before the classifier of texts or words too, as BERT has it
    attention_dropout=0.1,  # on attention probabilities; fused kernels need 0, `reference` does not
    attention='auto',  # auto | reference | xla | cudnn (GPU) | splash (TPU); names never fall back
    dtype='float32',  # of activations: float32 | bfloat16; parameters and softmax stay float32
    scan=True,  # one scanned layer: compile time does not grow with depth; False = unrolled
    # Positions that the last layer computes, if layers are unrolled. whole: all | read: those that
    # a head uses, about a sixth of a row for mlm and one for nsp. The results are the same.
    last_layer='read',
    # Recomputed in the backward pass, to save memory. none | dots: all but products with parameters
    # | full: whole layers. On a CPU it saves memory with scan only.
    remat='none',
  )

  config.optimizer = dict(
    # adamw | stable_adamw: slower where gradients jump (ModernBERT) | lamb: each update as long as
    # its parameter (ALBERT) | muon: Muon for the trunk's kernels, AdamW for all other parameters
    name='adamw',
    learning_rate=1e-4,  # peak; with muon, that of the trunk's kernels
    adam_learning_rate=0.0,  # muon: peak of all other parameters; 0 = learning_rate
    muon_beta=0.95,  # muon: decay of its momentum
    schedule='linear',  # after warm-up: linear | cosine | wsd | constant
    warmup_steps=100,  # updates of linear warm-up
    warmup_share=0.0,  # where warmup_steps is 0: this share of the steps
    decay_share=0.2,  # wsd: last share of the steps, in which the rate falls
    decay='linear',  # wsd: how it falls, linear | one_minus_sqrt
    final_share=0.0,  # learning rate of the last update / peak; 0 is reached one step after it
    beta1=0.9,  # Adam: decay of the mean of the gradient
    beta2=0.999,  # Adam: decay of the mean of its square
    epsilon=1e-6,  # Adam: added to the root
    bias_correction=False,  # BERT's Adam has none
    weight_decay=0.01,  # decoupled, times the learning rate; not of biases and norms
    clip=1.0,  # global gradient norm; 0 = off
    layer_decay=1.0,  # rate of a layer / that of the one above (ELECTRA: 0.8 to 0.9); 1 = all one
    frozen_layers=0,  # the embeddings and so many layers are not trained; 0 = all are
    unfreeze_every=0,  # updates after which one more layer is trained, from the head down; 0 = all
    average=0.0,  # decay of an exponential average of the parameters; 0 = off
    # Skips an update whose gradient norm is so many standard deviations above the mean of the last
    # `skip_window` updates (OLMo: 6 and 128); 0 = off.
    skip_sigmas=0.0,
    skip_window=128,  # updates; none is skipped before there are so many
    skip_limit=8,  # updates in a row that may be skipped
  )

  # Devices along each axis; -1 = all that remain. Rows are split over data and fsdp, parameters
  # over fsdp and tensor.
  config.mesh = dict(data=-1, fsdp=1, tensor=1)
  # Seconds without progress (or 10 median steps, if longer) after which a run is ended; 0 = never.
  config.watchdog_seconds = 300.0

  config.validation = dict(
    every=500,  # steps; always after the last step too
    first=True,  # at step 0 too: the initial parameters
    batch_size=64,  # sequences; changes speed only
    rate=0.15,  # masking rate for mlm, whatever training uses; frozen token-level 80/10/10 masks
    seed=0,  # of those masks and of the validation sentence pairs
    patience=0,  # validations without a better one, by checkpoint.best, that end a run; 0 = never
    extra_cells='',  # more cells to score, as in 'causal+clm, bidirectional+mlm'
  )

  config.checkpoint = dict(
    every=500,  # steps
    keep=2,  # the newest ones
    # Name of a score of the validation, as loss or accuracy, or `metric`, that of the task: the
    # parameters with the best one are kept beside the last ones, scored at the end, and loaded.
    best='',
  )
  config.log = dict(every=1, tensorboard=True)  # steps between rows of metrics.jsonl

  return config.lock()


# What may change when a run resumes, if --allow_change names it. All else is refused.
FREE_ON_RESUME = (
  'steps',
  'accumulate',
  'platform',
  'loss_chunk',
  'data.cache',
  'distill.teacher',
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
  """Applies the argument after the colon of `--config=FILE:corpus=NAME,mesh=NAME,cell=CELL`.

  A cell is a mask and objectives that count 1 each, as in causal+clm. Commas stand between.

  Raises:
    ValueError: the argument has another form, or the mesh is unknown.
  """
  for pair in filter(None, arg.split(',')):
    name, equals, value = pair.partition('=')
    wrong = re.search(r'\W(corpus|mesh|cell)=', value) or name == 'cell' and '+' not in value
    if name not in ('corpus', 'mesh', 'cell') or not equals or not value or wrong:
      raise ValueError(
        f'config argument {pair!r}: expected corpus=NAME, mesh=NAME or cell=MASK+OBJECTIVE, with '
        'a comma between two, as in :corpus=wikipedia,mesh=fsdp,cell=causal+clm. A path with a '
        'comma: --config.data.corpus=text:PATH.'
      )
    if name == 'corpus':
      config.data.corpus = value
    elif name == 'cell':
      config.mask, _, mix = value.partition('+')
      config.objectives = objectives(mix)
    else:
      config.mesh = mesh(value)
  return config


def objectives(mix: str) -> dict[str, float]:
  """Returns {'mlm': 1.0, 'nsp': 1.0} of 'mlm+nsp'.

  Raises:
    ValueError: one is named twice, or none.
  """
  words = mix.split('+')
  if not all(words) or len(set(words)) < len(words):
    raise ValueError(f'{mix!r}: name each objective once, as in mlm+nsp.')
  return dict.fromkeys(words, 1.0)


def mesh(name: str) -> dict[str, int]:
  """Returns the devices along each axis of a named mesh.

  Names are replicated, fsdp, tensor, and products as in fsdp+tensor4 or data2+fsdp. An axis without
  a number takes the devices that remain.

  Raises:
    ValueError: the name has another form.
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
