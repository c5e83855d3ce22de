"""Files of strangers: what is safe and whole is read bit for
bit, everything else is refused by name.
"""

import json
from pathlib import Path
import pickle

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file
import small

from interop import families, files, huggingface
from models.network import by_path
from runtime.errors import WeightsError
from training import load

BERT = dict(
  model_type='bert',
  vocab_size=50,
  hidden_size=32,
  num_hidden_layers=2,
  num_attention_heads=4,
  intermediate_size=64,
  max_position_embeddings=64,
)


def write(folder: Path, **changes) -> dict[str, np.ndarray]:
  """A directory as Hugging Face lays it out, of a random BERT; the parameters by our paths."""
  _, params = small.network('bert_base', heads=('mlm', 'nsp'))
  flat = {path: np.asarray(x) for path, x in by_path(params).items()}
  (folder / 'config.json').write_text(json.dumps(BERT | changes))
  save_file(
    huggingface.export_parameters(families.FAMILIES['bert'], flat, ('mlm',)),
    folder / 'model.safetensors',
  )
  return flat


def refused(folder: Path) -> str:
  with pytest.raises(WeightsError) as error:
    load.load_huggingface(folder)
  return str(error.value)


def test_out_and_in_again_changes_no_bit(tmp_path):
  flat = write(tmp_path)
  loaded = load.load_huggingface(tmp_path)
  assert (
    loaded.heads == ('mlm', 'nsp') and loaded.mask == 'bidirectional' and loaded.tokenizer is None
  )
  back = by_path(loaded.params)
  assert back.keys() == flat.keys()
  jax.tree.map(np.testing.assert_array_equal, back, flat)


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(model_type='t5'), "model_type 't5'; these can be read: bert,"),
    (dict(model_type=['bert']), 'model_type'),
    (
      dict(position_embedding_type='relative_key'),
      "position_embedding_type='relative_key', which changes",
    ),
    (dict(is_decoder=True), 'is_decoder=True'),
    (dict(auto_map={'AutoModel': 'evil.Model'}), "not known here: 'auto_map'"),
    (dict(_attn_implementation_internal='user/repo'), '_attn_implementation_internal'),
    (dict(hidden_act='gelu_python_2'), "hidden_act='gelu_python_2'; these are known"),
    (dict(num_hidden_layers=10**12), 'out of range'),
    (dict(num_hidden_layers=0), 'out of range'),
    (dict(hidden_size='32'), "hidden_size='32', which is no int"),
    (dict(hidden_size=True), 'hidden_size=True'),
    (dict(layer_norm_eps='tiny'), 'layer_norm_eps'),
    (dict(intermediate_size=65), 'expected (65, 32), our trunk/blocks/feed_forward/up/kernel'),
    (dict(num_hidden_layers=1), 'left over:\n    encoder.layer.1.'),
    (dict(num_hidden_layers=3), 'missing:\n    encoder.layer.2.'),
  ],
)
def test_a_config_that_is_not_this_model_is_refused_by_name(changes, words, tmp_path):
  write(tmp_path, **changes)
  assert words in refused(tmp_path)


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(scale_attn_by_inverse_layer_idx=True), 'scale_attn_by_inverse_layer_idx'),
    (dict(reorder_and_upcast_attn=True), 'reorder_and_upcast_attn'),
  ],
)
def test_gpt2_keys_that_change_the_arithmetic_are_refused(changes, words):
  with pytest.raises(WeightsError, match=words):
    families.read(dict(model_type='gpt2') | changes, 'config.json')


def test_scaled_rotary_positions_are_refused():
  for changes in (
    dict(rope_scaling=dict(factor=2.0)),
    dict(rope_parameters=dict(rope_type='yarn', factor=4.0)),
  ):
    with pytest.raises(WeightsError, match='rope'):
      families.read(dict(model_type='llama') | changes, 'config.json')


@pytest.mark.parametrize(
  'text, words', [('{"a": ', 'no JSON'), ('[1]', 'no JSON object'), ('[' * 100_000, 'no JSON')]
)
def test_a_config_that_is_no_json_is_refused(text, words, tmp_path):
  write(tmp_path)
  (tmp_path / 'config.json').write_text(text)
  assert words in refused(tmp_path)


class Canary:
  """What a pickle would run."""

  def __reduce__(self):
    return Path.touch, (Path('canary-sings'),)


def test_a_pickle_is_refused_unopened(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write(tmp_path)
  (tmp_path / 'model.safetensors').unlink()
  (tmp_path / 'pytorch_model.bin').write_bytes(pickle.dumps(Canary()))
  assert 'pytorch_model.bin' in (message := refused(tmp_path)) and 'save_pretrained' in message
  assert not (tmp_path / 'canary-sings').exists()


def test_weights_outside_the_directory_are_refused(tmp_path):
  inside = tmp_path / 'model'
  inside.mkdir()
  write(inside)
  (inside / 'model.safetensors').rename(tmp_path / 'elsewhere.safetensors')
  index = inside / 'model.safetensors.index.json'
  for name in ('../elsewhere.safetensors', str(tmp_path / 'elsewhere.safetensors')):
    index.write_text(json.dumps(dict(weight_map={'x': name})))
    assert 'within it' in refused(inside)
  index.unlink()
  (inside / 'model.safetensors').symlink_to(tmp_path / 'elsewhere.safetensors')
  assert 'within it' in refused(inside)


def test_the_links_of_a_hub_cache_are_followed(tmp_path):
  snapshot, blobs = tmp_path / 'snapshots' / '0123', tmp_path / 'blobs'
  snapshot.mkdir(parents=True), blobs.mkdir()
  write(snapshot)
  (snapshot / 'model.safetensors').rename(blobs / 'abc')
  (snapshot / 'model.safetensors').symlink_to('../../blobs/abc')
  assert load.load_huggingface(snapshot).config.layers == 2


@pytest.mark.parametrize(
  'damage', [lambda b: b[:-7], lambda b: b'\xff' * 8 + b[8:], lambda b: b'', lambda b: b'{}' * 9]
)
def test_damaged_safetensors_are_refused(damage, tmp_path):
  write(tmp_path)
  path = tmp_path / 'model.safetensors'
  path.write_bytes(damage(path.read_bytes()))
  assert 'is damaged' in refused(tmp_path)


def test_shards_are_one_model_and_a_missing_one_is_named(tmp_path):
  flat = write(tmp_path)
  tensors = huggingface.export_parameters(families.FAMILIES['bert'], flat, ('mlm',))
  (tmp_path / 'model.safetensors').unlink()
  names = sorted(tensors)
  parts = {'a.safetensors': names[::2], 'b.safetensors': names[1::2]}
  for file, part in parts.items():
    save_file({name: tensors[name] for name in part}, tmp_path / file)
  (tmp_path / 'model.safetensors.index.json').write_text(
    json.dumps(dict(weight_map={name: file for file, part in parts.items() for name in part}))
  )
  jax.tree.map(np.testing.assert_array_equal, by_path(load.load_huggingface(tmp_path).params), flat)
  (tmp_path / 'b.safetensors').unlink()
  assert 'lacks b.safetensors' in refused(tmp_path)


def test_tensors_are_read_when_asked_and_not_before(tmp_path):
  write(tmp_path)
  tensor = files.open_tensors(tmp_path)['bert.embeddings.word_embeddings.weight']
  assert tensor.shape == (50, 32) and tensor.read().dtype == np.float32
