"""What the attention page and picture show is what the network used."""

import html
import json
from pathlib import Path
import re
import shutil
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest
import small
from test_convert import random_weights

from inference.attention_maps import attention_maps, draw, measures, page
from models.attention import attend, attention_weights
from models.masks import Mask

TEXT = 'the banks of a river'
CHROMIUM = next(
  filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)


@pytest.fixture(scope='module')
def maps():
  weights = random_weights('bert')
  causal = small.network('bert_base', mask='causal', packed=False, heads=('mlm', 'nsp'))[0]
  return [
    attention_maps(weights, TEXT),
    attention_maps(weights._replace(mask='causal', network=causal), TEXT),
  ]


@pytest.mark.parametrize('implementation', ['xla', 'reference'])
def test_weights_times_values_is_the_output_of_attention(implementation):
  random = np.random.default_rng(0)
  q, k, v = (jnp.asarray(random.normal(size=(2, 7, heads, 8)), jnp.float32) for heads in (4, 2, 2))
  segment = jnp.array([[1] * 7, [1] * 4 + [0] * 3])
  mask = Mask(causal=True, q_segment_BxT=segment, kv_segment_BxS=segment)
  weight_BxHxTxS = attention_weights(q, k, mask)
  product = jnp.einsum('BHTS,BSHK->BTHK', weight_BxHxTxS, jnp.repeat(v, 2, axis=2))
  # float32, sums of seven: rounding is below 1e-6
  np.testing.assert_allclose(
    attend(q, k, v, mask, implementation=implementation), product, atol=2e-6
  )


def test_the_other_mask_on_the_same_weights_hides_the_future(maps):
  both, causal = (one.weight_LxHxTxT for one in maps)
  assert maps[0].tokens == ['[CLS]', 'the', 'bank', '##s', 'of', 'a', 'river', '[SEP]']
  assert maps[0].word_T == [0, 1, 2, 2, 3, 4, 5, 6]
  np.testing.assert_allclose(causal.sum(axis=-1), 1, atol=1e-5)
  assert not np.triu(causal, 1).any() and (both > 0).all()


def test_entropy_and_distance_are_those_of_known_heads():
  uniform, diagonal = np.full((4, 4), 0.25), np.eye(4)
  entropy, distance = measures(np.stack([uniform, diagonal])[None].astype(np.float32))
  np.testing.assert_allclose(entropy, [[np.log(4), 0]], atol=1e-6)
  np.testing.assert_allclose(distance, [[1.25, 0]], atol=1e-6)


def test_a_token_cannot_break_out_of_the_page(maps):
  evil = maps[0]._replace(tokens=['</script><b>'] * 8)
  assert '</script><b>' not in page([evil], '</script>')


def test_the_picture_is_drawn(maps, tmp_path):
  for name, options in (('mean', {}), ('head', dict(layer=0, head=1)), ('grid', dict(grid=True))):
    draw(maps, tmp_path / f'{name}.png', **dict(layer=None, head=None, grid=False) | options)
    assert (tmp_path / f'{name}.png').read_bytes().startswith(b'\x89PNG')


def browse(text: str, folder: Path, script: str):
  """What a real browser's script finds in the page, after events as a hand makes them."""
  path = folder / 'page.html'
  run = (
    '<pre id="found"></pre><script>document.getElementById("found").textContent = '
    f'JSON.stringify((() => {{{script}}})())'
  )
  path.write_text(text.replace('</html>', run + '</script></html>'))
  done = subprocess.run(
    [
      CHROMIUM,
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      f'--user-data-dir={folder}/profile',
      '--dump-dom',
      path.as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=600,
    check=True,
  )
  return json.loads(
    html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1])
  )


@pytest.mark.skipif(CHROMIUM is None, reason='no chromium here')
def test_a_browser_shows_the_numbers_of_the_array(maps, tmp_path):
  found = browse(
    page(maps, TEXT),
    tmp_path,
    """
    const section = document.querySelector('section'), numbers = () =>
      [...section.querySelectorAll('tbody tr')].map(r => [...r.querySelectorAll('td')].map(c => +c.dataset.weight));
    const chips = box =>
      [...section.querySelectorAll('.tokens')[box].querySelectorAll('small')].map(x => +x.textContent);
    const click = label => section.querySelector(`[aria-label="${label}"]`).click();
    const result = {};
    click('layer 0 head 2');
    result.clicked = numbers();
    section.querySelector('.token[data-token="2"]').dispatchEvent(new MouseEvent('mouseenter'));
    result.out = chips(0); result.in = chips(1); result.said = section.querySelector('output').textContent;
    dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }));
    result.moved = numbers();
    document.getElementById('mean').click(); result.mean = numbers();
    document.getElementById('mean').click(); document.getElementById('merge').click(); result.merged = numbers();
    result.hidden = document.querySelectorAll('section')[1].querySelectorAll('td.hidden').length;
    return result;""",
  )
  weight_LxHxTxT = maps[0].weight_LxHxTxT
  close = lambda shown, array, atol: np.testing.assert_allclose(shown, array, atol=atol)
  close(found['clicked'], weight_LxHxTxT[0, 2], 1e-5)
  close(found['out'], weight_LxHxTxT[0, 2, 2], 6e-4)  # three decimals
  close(found['in'], weight_LxHxTxT[0, 2, :, 2], 6e-4)
  assert found['said'].startswith('“bank” attends most to')
  close(found['moved'], weight_LxHxTxT[1, 2], 1e-5)
  close(found['mean'], weight_LxHxTxT[1].mean(axis=0), 1e-5)
  part = weight_LxHxTxT[1, 2]
  columns = np.concatenate(
    [part[:, :2], part[:, 2:4].sum(axis=1, keepdims=True), part[:, 4:]], axis=1
  )
  close(
    found['merged'],
    np.concatenate([columns[:2], columns[2:4].mean(axis=0, keepdims=True), columns[4:]]),
    2e-5,
  )
  assert found['hidden'] == 7 * 6 // 2  # seven words
