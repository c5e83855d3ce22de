"""A network, its weights and its tokenizer: what every program that uses a model is given."""

from typing import Any, NamedTuple

from data.tokens.tokenizer import Tokenizer
from inference.ends import Ends
from inference.labels import Labels
from inference.sentences import Sentences
from models.config import ModelConfig
from models.network import Network, make_network
from runtime.errors import WeightsError


class Model(NamedTuple):
  """A trained network, ready to be used.

  Attributes:
    config: the shape of the network.
    mask: 'bidirectional', 'causal' or 'prefix': what a token sees.
    heads: names of models.heads.HEADS that it has.
    network: made with this mask and these heads, for rows that hold one text.
    params: its parameters.
    add_bos: in training, texts began with the tokenizer's `bos`.
    source: where it was read, for people.
    tokenizer: None where the weights came without one.
    ahead: how many positions before a blank the output stands that fills it: 1 after mntp.
    ends: where texts begin and end, as published files say it; None: with the tokenizer's bos and
      eos.
    step: of the run that trained it; None where it was not trained here.
    labels: what a head for labels says; None without one, or where their names are not known.
    sentences: how texts become vectors, as the published files of a sentence encoder say it.
  """

  config: ModelConfig
  mask: str
  heads: tuple[str, ...]
  network: Network
  params: Any
  tokenizer: Tokenizer | None
  add_bos: bool
  source: str
  ahead: int = 0
  ends: Ends | None = None
  step: int | None = None
  labels: Labels | None = None
  sentences: Sentences | None = None

  def need_tokenizer(self) -> Tokenizer:
    """The tokenizer.

    Raises:
      WeightsError: the model came without one.
    """
    if self.tokenizer is None:
      raise WeightsError(
        f'{self.source} has no tokenizer.json and no vocab.txt: put the one of the model there. A '
        'tokenizer.model or spiece.model is not read; transformers writes a tokenizer.json of it.'
      )
    return self.tokenizer

  def need_projection(self):
    """Raises WeightsError where the config has a projection of vectors that was never trained."""
    if self.config.projection and 'vector' not in self.params:
      raise WeightsError(
        f'{self.source} has config.model.projection={self.config.projection} and no parameters of '
        'it: no objective over vectors trained it.'
      )

  @property
  def trunk(self) -> Network:
    """The network without its heads: the same parameters, and always hidden states, BxTxD.

    A row may hold several texts, each its own segment. A network with heads may compute the last
    layer only where they read it.
    """
    return make_network(self.config, mask=self.mask, packed=True, heads=())

  @property
  def objectives(self) -> tuple[str, ...]:
    """What its heads were trained with; heads of fine-tuned models are no objectives."""
    names = dict(mlm='mntp' if self.ahead else 'mlm', clm='clm', nsp='nsp')
    return tuple(names[head] for head in self.heads if head in names)

  @property
  def context(self) -> int:
    """The most tokens that a row can have, special ones counted."""
    return self.config.max_length - self.config.position_offset

  @property
  def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids before and after a text that becomes a vector.

    Without files that say it: `bos` where the training had it so, `eos` unless it is causal.
    """
    if self.sentences is not None:
      return self.sentences.begin, self.sentences.end
    tokenizer = self.need_tokenizer()
    begin = (tokenizer.bos,) if self.add_bos else ()
    return begin, (tokenizer.eos,) if self.mask != 'causal' else ()

  @property
  def text_length(self) -> int:
    """Tokens of a text that becomes a vector, special ones counted; what is longer is cut."""
    return min(self.context, self.sentences.max_length) if self.sentences else self.context

  @property
  def prompts(self) -> dict[str, str]:
    """What its files put before texts of a kind that become vectors, by name."""
    return self.sentences.prompts if self.sentences else {}

  @property
  def default_prompt(self) -> str:
    """What is put before each text that becomes a vector; '' is nothing."""
    name = self.sentences.default_prompt if self.sentences else None
    return '' if name is None else self.prompts[name]

  @property
  def truncate_dim(self) -> int | None:
    """How many dimensions of a vector are kept; None: all."""
    return self.sentences.truncate_dim if self.sentences else None
