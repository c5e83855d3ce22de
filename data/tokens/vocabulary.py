"""Training a vocabulary: the same bytes from the same documents, in any process and any order.

Every trainer takes texts and the largest number of entries, special tokens included, and raises
DataError where that number is too small.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
import hashlib
import heapq
import json
import re

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from data.corpora import sentences
from data.errors import DataError
from data.tokens import tokenizer as tokenizer_lib

# of text to train on; a larger corpus is sampled evenly, by a hash of each document
SAMPLE_BYTES = 128 << 20
_WORDS = re.compile(r'[\S\x1c-\x1f]+')  # as the library cuts: these are white space to Python alone
LARGEST_ALPHABET = 1_000  # characters of a WordPiece vocabulary, the most frequent ones (as BERT's)
COVERAGE = 0.9995  # of the text, by the characters of a Unigram vocabulary (as SentencePiece's)
_CHARACTER_STEP = 1e-4  # by which the library tells characters without a score of their own apart


def sample(documents: Iterable[str], limit: int = SAMPLE_BYTES) -> list[str]:
  """The documents of smallest hash that together stay within `limit` bytes, by hash; at least one.

  An even sample in one pass, which depends on no order. Only the sample is in memory.
  """
  heap, size = [], 0  # the largest hash on top
  for text in documents:
    data = text.encode()
    digest = hashlib.blake2b(data, digest_size=8, person=b'vocabulary').digest()
    heapq.heappush(heap, (-int.from_bytes(digest), text))
    size += len(data)
    while size > limit and len(heap) > 1:
      size -= len(heapq.heappop(heap)[1].encode())
  return [text for _, text in sorted(heap, reverse=True)]


def sample_mixed(
  corpora: Iterable[Iterable[str]],
  shares: Callable[[list[int]], list[float]],
  limit: int = SAMPLE_BYTES,
) -> list[str]:
  """Documents of several corpora, of each corpus as many bytes as its share of the whole.

  They are as many as show each document of the largest corpora at least once, within `limit`: the
  documents of other corpora are repeated. In one pass, with no more than twice the limit in memory.

  Args:
    shares: of the first corpora, from the bytes that they have.
  """
  samples, sizes = [], []
  for documents in corpora:
    seen = Counter()
    samples.append(sample(_counted(documents, seen), limit))
    sizes.append(seen['bytes'])
    if not samples[-1]:
      return []
    share = shares(sizes)
    samples = [sample(texts, int(limit * part)) for texts, part in zip(samples, share)]
  whole = min(limit, max(size / part for size, part in zip(sizes, share)))
  chosen = []
  for texts, part in zip(samples, share):
    held = sum(len(text.encode()) for text in texts)
    times, rest = divmod(int(whole * part), held)
    chosen += texts * max(times, 1) + (sample(texts, rest) if times and rest else [])
  return chosen


def _counted(documents: Iterable[str], seen: Counter) -> Iterator[str]:
  for text in documents:
    seen['bytes'] += len(text.encode())
    yield text


def _sentences(texts: list[str]) -> Iterator[str]:
  """Sentences of the texts: the library needs ~50 times the memory of a string that it cuts up."""
  for text in texts:
    yield from sentences.split(text)


def train_wordpiece(
  texts: list[str], size: int, lowercase: bool, alphabet: int = LARGEST_ALPHABET
) -> tokenizer_lib.Tokenizer:
  """WordPiece (Devlin et al. 2019), with at most `alphabet` characters.

  The trainer numbers the alphabet in the order of a hash table, another one in every process, and
  ties between merges follow these numbers. So the alphabet goes in as if it were special tokens,
  sorted, and the vocabulary that comes out is built into a tokenizer that knows only the real
  specials.
  """
  rule = tokenizers.Tokenizer(models.WordPiece(unk_token='[UNK]'))
  normalizer = normalizers.BertNormalizer(lowercase=lowercase)
  rule.normalizer = normalizer  # asking `rule` for it while it trains would wait for ever
  rule.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  ranked = [*_characters(map(normalizer.normalize_str, _sentences(texts)))]
  kept, rare = sorted(ranked[:alphabet]), ranked[alphabet:]
  characters = [*kept, *('##' + char for char in kept)]
  least = len(tokenizer_lib.WORDPIECE_SPECIALS) + len(characters)
  if size < least:
    raise DataError(
      f'model.vocab_size={size:,} does not hold the {len(kept):,} characters of the corpus: '
      f'WordPiece needs at least {least:,}, or use data.tokenizer=bpe'
    )
  spaces = str.maketrans(dict.fromkeys(rare, ' '))
  trainer = trainers.WordPieceTrainer(
    vocab_size=size,
    special_tokens=[*tokenizer_lib.WORDPIECE_SPECIALS, *characters],
    show_progress=False,
  )
  normalized = map(normalizer.normalize_str, _sentences(texts))
  rule.train_from_iterator((sentence.translate(spaces) for sentence in normalized), trainer)
  vocabulary = rule.get_vocab()
  return tokenizer_lib.from_vocabulary(sorted(vocabulary, key=vocabulary.get), lowercase)


def mixed_alphabet(corpora: int, size: int) -> int:
  """Characters of the WordPiece vocabulary of so many corpora, which may be of many scripts."""
  return max(LARGEST_ALPHABET, min(corpora * LARGEST_ALPHABET, size // 12))


def _characters(texts: Iterable[str]) -> dict[str, int]:
  """How often each character occurs, the most frequent ones first, white space left out."""
  frequency = Counter()
  for text in texts:
    frequency.update(text)
  seen = [char for char in frequency if not char.isspace()]
  # Counter.most_common would break ties by first appearance, which depends on the order of texts
  ranked = sorted(seen, key=lambda char: (-frequency[char], char))
  return {char: frequency[char] for char in ranked}


def train_bpe(
  texts: list[str], size: int, specials: tuple[str, ...] = tokenizer_lib.BPE_SPECIALS
) -> tokenizer_lib.Tokenizer:
  """Byte-level BPE with GPT-2's rule (Radford et al. 2019), and special tokens before the bytes."""
  least = len(specials) + 256
  if size < least:
    raise DataError(
      f'model.vocab_size={size:,} does not hold the 256 bytes: BPE needs at least {least:,}'
    )
  tokenizer = tokenizers.Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=size,
    special_tokens=list(specials),
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  tokenizer.train_from_iterator(_sentences(texts), trainer)
  return tokenizer_lib.Tokenizer(tokenizer)


def train_roberta_bpe(texts: list[str], size: int) -> tokenizer_lib.Tokenizer:
  """`train_bpe` with the special tokens of RoBERTa (Liu et al. 2019), <pad> being 1."""
  return train_bpe(texts, size, tokenizer_lib.ROBERTA_SPECIALS)


def train_unigram(texts: list[str], size: int, lowercase: bool) -> tokenizer_lib.Tokenizer:
  """A unigram language model (Kudo 2018) with ALBERT's rule and special tokens.

  SentencePiece's choices: as many characters as cover COVERAGE of the text, NFKC, and white space
  as part of the piece that it begins. The trainer is that of the library, whose scores depend on
  the order of a hash table in their last digits, and for some characters in the fourth: so they are
  rounded, and those characters share one score.
  """
  specials = list(tokenizer_lib.UNIGRAM_SPECIALS)
  normalizer = _albert_normalizer(lowercase)
  frequency = _characters(map(normalizer.normalize_str, _sentences(texts)))
  alphabet = _covering(frequency)
  least = len(specials) + len(alphabet) + 1  # and the mark of a space
  if size < least:
    raise DataError(
      f'model.vocab_size={size:,} does not hold the {len(alphabet):,} characters of the corpus: '
      f'unigram needs at least {least:,}, or use data.tokenizer=bpe'
    )
  rule = tokenizers.Tokenizer(models.Unigram())
  cut = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace('▁', prepend_scheme='always')]
  rule.pre_tokenizer = pre_tokenizers.Sequence(cut)
  trainer = trainers.UnigramTrainer(
    vocab_size=size, special_tokens=specials, unk_token='<unk>', show_progress=False
  )
  spaces = str.maketrans(dict.fromkeys(frequency.keys() - alphabet, ' '))
  normalized = map(normalizer.normalize_str, _sentences(texts))
  rule.train_from_iterator((sentence.translate(spaces) for sentence in normalized), trainer)
  pieces = json.loads(rule.to_str())['model']['vocab'][len(specials) :]
  entries = [*((name, 0.0) for name in specials), *_canonical(pieces)]
  rule.model = models.Unigram(entries, unk_id=specials.index('<unk>'), byte_fallback=False)
  rule.normalizer, rule.decoder = normalizer, decoders.Metaspace('▁', prepend_scheme='always')
  rule.add_special_tokens(specials)
  return tokenizer_lib.Tokenizer(rule)


def _albert_normalizer(lowercase: bool) -> normalizers.Normalizer:
  """Quotation marks, accents and case as ALBERT's tokenizer has them, then SentencePiece's NFKC."""
  steps = [normalizers.Replace('``', '"'), normalizers.Replace("''", '"')]
  if lowercase:
    steps += [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
  return normalizers.Sequence([*steps, normalizers.NFKC()])


def _covering(frequency: dict[str, int]) -> set[str]:
  """The most frequent characters that make up COVERAGE of a text; `frequency` as `_characters`."""
  wanted, seen, kept = COVERAGE * sum(frequency.values()), 0, set()
  for char, count in frequency.items():
    if seen >= wanted:
      break
    seen += count
    kept.add(char)
  return kept


def _canonical(pieces: list[list]) -> list[tuple[str, float]]:
  """Pieces and scores as the library's trainer gives them, in an order that nothing else decides.

  A character without a score of its own has the lowest one and so many `_CHARACTER_STEP`.
  """
  lowest = min(score for _, score in pieces)

  def steady(piece: str, score: float) -> float:
    steps = (score - lowest) / _CHARACTER_STEP
    by_order = len(piece) == 1 and steps < len(pieces) and abs(steps - round(steps)) < 1e-6
    return round(lowest if by_order else score, 6)

  scored = [(piece, steady(piece, score)) for piece, score in pieces]
  return sorted(scored, key=lambda entry: (-entry[1], entry[0]))


def train_characters(texts: list[str], size: int) -> tokenizer_lib.Tokenizer:
  """One token for each character of the texts, by code point; any other character is unknown."""
  characters = sorted(set().union(*texts))
  vocabulary = [*tokenizer_lib.WORDPIECE_SPECIALS, *characters]
  if size < len(vocabulary):
    raise DataError(
      f'model.vocab_size={size:,} does not hold the {len(characters):,} characters of the corpus: '
      f'it needs at least {len(vocabulary):,}, or use data.tokenizer=bpe'
    )
  # Byte-pair encoding without a pair: single characters, whatever stands beside them.
  tokenizer = tokenizers.Tokenizer(
    models.BPE({token: i for i, token in enumerate(vocabulary)}, [], unk_token='[UNK]')
  )
  tokenizer.decoder = decoders.Fuse()
  tokenizer.add_special_tokens(list(tokenizer_lib.WORDPIECE_SPECIALS))
  return tokenizer_lib.Tokenizer(tokenizer)


def train_words(texts: list[str], size: int) -> tokenizer_lib.Tokenizer:
  """One token for each of the most frequent words, which white space separates.

  For text that is tokenised already. A rarer word is unknown.
  """
  least = len(tokenizer_lib.WORDPIECE_SPECIALS) + 1
  if size < least:
    raise DataError(f'model.vocab_size={size:,} holds no word: words need at least {least:,}')
  frequency = Counter(word for text in texts for word in _WORDS.findall(text))
  for special in tokenizer_lib.WORDPIECE_SPECIALS:
    frequency.pop(special, None)  # text that looks like one is unknown
  ranked = sorted(frequency, key=lambda word: (-frequency[word], word))
  kept = ranked[: size - len(tokenizer_lib.WORDPIECE_SPECIALS)]
  entries = [*tokenizer_lib.WORDPIECE_SPECIALS, *kept]
  vocabulary = {word: index for index, word in enumerate(entries)}
  tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token='[UNK]'))
  tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
  tokenizer.add_special_tokens(list(tokenizer_lib.WORDPIECE_SPECIALS))
  return tokenizer_lib.Tokenizer(tokenizer)
