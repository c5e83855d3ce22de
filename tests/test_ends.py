"""Where a published model begins and ends a text is what its own files say."""

import json
from pathlib import Path

import pytest
from test_convert import WORDS, random_weights

from configs.schema.check import ConfigError
from inference.generate import Generator
from inference.sampling import Sampling
from interop.export import export
from runtime.errors import WeightsError
from training import load

PROMPT = 'the old boat'
LENGTH = 12


@pytest.fixture(scope='module')
def exported(tmp_path_factory) -> Path:
  """A small GPT-2 with its tokenizer, as transformers reads it."""
  folder = tmp_path_factory.mktemp('ends') / 'gpt2'
  export(random_weights('gpt2'), folder.parent, folder)
  return folder


def changed(exported: Path, to: Path, config: dict, generation: dict | None) -> Path:
  """A copy with other ids in config.json, and with this generation_config.json or none."""
  to.mkdir()
  for file in exported.iterdir():
    (to / file.name).write_bytes(file.read_bytes())
  theirs = json.loads((to / 'config.json').read_text())
  for key in ('bos_token_id', 'eos_token_id', 'pad_token_id'):
    del theirs[key]
  (to / 'config.json').write_text(json.dumps(theirs | config))
  (to / 'generation_config.json').unlink()
  if generation is not None:
    (to / 'generation_config.json').write_text(json.dumps(generation))
  return to


def greedy(folder: Path, prompt: str = PROMPT) -> list[int]:
  writer = Generator(load.load(folder), Sampling(temperature=0.0), seed=0)
  return writer.write([prompt], LENGTH).completions[0][0].ids


# ids in config.json and in generation_config.json (None: no such file); n is the n-th token that is
# written where nothing ends the text
CASES = {
  'generation-alone': ({}, dict(eos_token_id=3)),
  'generation-before-config': (dict(eos_token_id=2), dict(eos_token_id=5)),
  'several': ({}, dict(eos_token_id=[7, 4])),
  'config-alone': (dict(eos_token_id=3), None),
  'config-several': (dict(eos_token_id=[6, 3]), None),
  'generation-names-none': (dict(eos_token_id=3), dict(bos_token_id=1)),
  'generation-says-null': (dict(eos_token_id=3), dict(eos_token_id=None)),
  'nobody-names-one': ({}, None),
  'first-token': ({}, dict(eos_token_id=0)),
  'pad-is-another': ({}, dict(eos_token_id=3, pad_token_id=2)),
}


@pytest.mark.parametrize('name', CASES)
def test_a_text_ends_where_transformers_ends_it(name, exported, tmp_path):
  torch = pytest.importorskip('torch', reason='needs the extra parity')
  transformers = pytest.importorskip('transformers', reason='needs the extra parity')
  endless = greedy(changed(exported, tmp_path / 'endless', {}, None))
  assert len(endless) == LENGTH

  def ids(values: dict) -> dict:
    """Numbers of written tokens, as their ids."""
    named = lambda x: (
      None if x is None else [endless[n] for n in x] if isinstance(x, list) else endless[x]
    )
    return {key: named(value) for key, value in values.items()}

  config, generation = CASES[name]
  folder = changed(
    exported, tmp_path / 'model', ids(config), None if generation is None else ids(generation)
  )
  model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
  tokens = transformers.AutoTokenizer.from_pretrained(folder)(PROMPT, return_tensors='pt')
  written = model.generate(
    tokens['input_ids'],
    attention_mask=torch.ones_like(tokens['input_ids']),
    do_sample=False,
    max_new_tokens=LENGTH,
  )
  assert greedy(folder) == written[0, tokens['input_ids'].shape[1] :].tolist()


def test_an_empty_prompt_is_the_token_that_the_files_begin_with(exported, tmp_path):
  folder = changed(exported, tmp_path / 'model', {}, dict(bos_token_id=9, eos_token_id=3))
  weights = load.load(folder)._replace(add_bos=False)
  writer = Generator(weights, Sampling(temperature=0.0), seed=0)
  assert writer._ids('') == [9] and writer._ids('the') == [WORDS.index('the')]


def test_ids_stay_through_an_import_and_an_export(exported, tmp_path):
  rules = dict(temperature=0.6, eos_token_id=[3, 7], bos_token_id=2, pad_token_id=1)
  folder = changed(exported, tmp_path / 'model', dict(eos_token_id=3), rules)
  load.save(load.load(folder), tmp_path / 'mine')
  mine = load.load(tmp_path / 'mine')
  assert list(mine.ends.ends) == [3, 7] and '--temperature=0.6' in mine.ends.advice()
  export(mine, tmp_path / 'mine', tmp_path / 'again')
  assert json.loads((tmp_path / 'again/generation_config.json').read_text()) == rules
  assert json.loads((tmp_path / 'again/config.json').read_text())['eos_token_id'] == [3, 7]


OLD_RULES = [
  dict(no_repeat_ngram_size=2),
  dict(suppress_tokens=[7]),
  dict(begin_suppress_tokens=[7]),
  dict(bad_words_ids=[[7]]),
  dict(forced_eos_token_id=3),
  dict(forced_bos_token_id=3),
  dict(min_length=9),
  dict(num_beams=4),
  dict(typical_p=0.5),
  dict(eta_cutoff=1e-3),
]
NEW_RULES = [
  dict(min_new_tokens=9),
  dict(penalty_alpha=0.6),
  dict(stop_strings=['.']),
  dict(sequence_bias=[[[7], 2.0]]),
  dict(guidance_scale=1.5),
  dict(watermarking_config=dict(bias=2.5)),
  dict(of_next_year=True),
]


@pytest.mark.parametrize(
  'config, generation',
  [({}, rule) for rule in OLD_RULES + NEW_RULES] + [(rule, None) for rule in OLD_RULES],
)
def test_a_rule_that_is_not_done_here_is_refused_by_name(config, generation, exported, tmp_path):
  weights = load.load(changed(exported, tmp_path / 'model', config, generation))
  (key,) = generation or config
  with pytest.raises(ConfigError, match=key):
    Generator(weights, Sampling(), seed=0)


@pytest.mark.parametrize('value', ['</s>', 2.0, True, [2, '</s>'], {}])
def test_an_end_that_is_no_id_is_refused(value, exported, tmp_path):
  folder = changed(exported, tmp_path / 'model', {}, dict(eos_token_id=value))
  with pytest.raises(WeightsError, match='eos_token_id'):
    load.load(folder)


def test_values_that_ask_for_nothing_are_no_rules(exported, tmp_path):
  plain = dict(temperature=1.0, top_p=1.0, num_beams=1, repetition_penalty=1.0, do_sample=True)
  folder = changed(exported, tmp_path / 'model', plain, dict(eos_token_id=3) | plain)
  weights = load.load(folder)
  assert weights.ends.advice() is None
  Generator(weights, Sampling(), seed=0)
