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

from configs.schema.check import ConfigError
from inference import attention_maps as maps_lib
from inference.attention_figure import draw
from inference.attention_maps import (
  attention_maps,
  lowest_entropy_heads,
  measures,
  page,
  without_special,
)
from models.attention import attend, attention_weights
from models.masks import Mask

TEXT = 'the banks of a river'
BROWSERS = ('chromium', 'chromium-headless-shell', 'chromium-browser', 'google-chrome')
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


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


def test_entropy_without_special_tokens_is_that_of_the_words(maps):
  words = without_special(maps[0])
  weight_LxHxTxT = words.weight_LxHxTxT / words.weight_LxHxTxT.sum(axis=-1, keepdims=True)
  entropy_LxH, _ = measures(weight_LxHxTxT)
  lowest = lowest_entropy_heads(words)[0]
  assert lowest['entropy'] == pytest.approx(entropy_LxH.min(), abs=1e-6)


def test_a_token_cannot_break_out_of_the_page(maps):
  evil = maps[0]._replace(tokens=['</script><b>'] * 8)
  assert '</script><b>' not in page([evil], '</script>')


def test_special_tokens_are_left_out_and_weights_stay(maps):
  both, causal = maps
  assert both.special_T.tolist() == [True, *[False] * 6, True]
  assert both.visible_TxT.all() and (causal.visible_TxT == np.tri(8, dtype=bool)).all()
  words = without_special(causal)
  assert words.tokens == causal.tokens[1:-1] and words.word_T == causal.word_T[1:-1]
  np.testing.assert_array_equal(words.weight_LxHxTxT, causal.weight_LxHxTxT[:, :, 1:-1, 1:-1])
  with pytest.raises(ConfigError, match='nothing is left'):
    without_special(both._replace(special_T=np.ones(8, bool)))


def drawn(maps, monkeypatch, tmp_path, **options):
  """The figure that `draw` saves: its text, its pictures and its hatched squares."""
  from matplotlib.figure import Figure

  figures = []
  monkeypatch.setattr(Figure, 'savefig', lambda figure, *_, **__: figures.append(figure))
  draw(maps, tmp_path / 'map.png', **dict(layer=None, head=None, grid=False) | options)
  return figures[0]


@pytest.mark.parametrize('special', [True, False])
@pytest.mark.parametrize('grid', [True, False])
def test_two_panels_share_one_scale_and_masked_cells_show_hatches(
  maps, monkeypatch, tmp_path, grid, special
):
  figure = drawn(maps, monkeypatch, tmp_path, grid=grid, special=special)
  *panels, bar = figure.axes
  pictures = [axis.images[0] for axis in panels]
  shown = maps if special else [without_special(one) for one in maps]
  weights = [one.weight_LxHxTxT if grid else one.weight_LxHxTxT[-1].mean(0) for one in shown]
  largest = max(weight.max() for weight in weights)
  for picture in pictures:
    np.testing.assert_allclose(picture.get_clim(), (0, largest), rtol=1e-6)
  for picture, one in zip(pictures, shown):
    L, H, T, _ = one.weight_LxHxTxT.shape
    # a masked cell has no colour of its own; gaps between tiles have none either
    assert picture.get_array().count() == one.visible_TxT.sum() * (L * H if grid else 1)
  assert all(axis.patches[0].get_hatch() and axis.get_title() for axis in panels)
  assert all(axis.get_xlabel() and axis.get_ylabel() for axis in panels)
  assert bar.get_ylabel() == 'attention weight'
  assert 'hatched' in figure.get_suptitle()
  figure.draw_without_rendering()
  left, right = (axis.get_tightbbox() for axis in panels)
  assert right.x0 - left.x1 > 10, 'pixels between the panels'


def test_dollars_and_underscores_are_drawn_as_they_are(maps, monkeypatch, tmp_path):
  odd = maps[0]._replace(title='runs/$a_b$', tokens=['$x_1$'] * 8)
  figure = drawn([odd], monkeypatch, tmp_path)
  axis = figure.axes[0]
  words = [axis.title, *axis.get_xticklabels(), *axis.get_yticklabels()]
  assert len(words) == 17 and not any(word.get_parse_math() for word in words)


def test_the_picture_is_drawn(maps, tmp_path):
  for name, options in (('mean', {}), ('head', dict(layer=0, head=1)), ('grid', dict(grid=True))):
    draw(maps, tmp_path / f'{name}.png', **dict(layer=None, head=None, grid=False) | options)
    assert (tmp_path / f'{name}.png').read_bytes().startswith(b'\x89PNG')


def luminance(color) -> float:
  """Of WCAG 2: relative, of three channels from 0 to 255."""
  linear = [c / 3294.6 if c <= 10.31 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
  return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other) -> float:
  low, high = sorted([luminance(one), luminance(other)])
  return (high + 0.05) / (low + 0.05)


def palettes() -> dict[str, dict[str, tuple[int, ...]]]:
  """The opaque colours of the page's two :root rules."""
  source = Path(maps_lib.__file__).with_name('attention.html').read_text()
  found = {}
  for scheme, rule in zip(('light', 'dark'), re.findall(r':root \{(.*?)\}', source)):
    colors = {
      name: bytes.fromhex(value) for name, value in re.findall(r'--(\w+): #(\w{6})\b', rule)
    }
    hot = re.search(r'--hot: (\d+) (\d+) (\d+)', rule)
    found[scheme] = colors | dict(hot=tuple(map(int, hot.groups())))
  return found


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_every_text_can_be_read_on_every_colour_behind_it(scheme):
  color = {name: np.array(list(value)) for name, value in palettes()[scheme].items()}
  assert contrast(color['ink'], color['paper']) >= 4.5
  assert contrast(color['soft'], color['paper']) >= 4.5
  assert contrast(color['mark'], color['paper']) >= 3  # a frame, not a text
  for weight in np.linspace(0, 1, 101):  # a token stands on its weight
    behind = color['paper'] + np.sqrt(weight) * (color['hot'] - color['paper'])
    assert contrast(color['ink'], behind) >= 4.5, weight


def test_the_page_opens_with_or_without_special_tokens(maps):
  def data(**options):
    return json.loads(re.search(r'const data = (.*);', page(maps, TEXT, **options))[1])

  assert data()['special'] and not data(special=False)['special']
  causal = data()['models'][1]
  assert causal['visible'][0] == '1' + '0' * 7 and causal['special'] == [True, *[False] * 6, True]


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
      '--window-size=390,844',  # a phone
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
    result.chosen = section.querySelector('.token[aria-pressed="true"]').firstChild.textContent;
    section.querySelector('.token[data-token="2"]').dispatchEvent(new MouseEvent('mouseenter'));
    result.out = chips(0); result.in = chips(1); result.said = section.querySelector('output').textContent;
    const down = where => {
      const event = new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true });
      return where.dispatchEvent(event); // false where the page keeps the key from scrolling
    };
    result.scrolls = down(document.body); result.stays = numbers();
    result.kept = !down(section.querySelector('.heads button'));
    result.moved = numbers();
    document.getElementById('mean').click(); result.mean = numbers();
    document.getElementById('mean').click(); document.getElementById('merge').click(); result.merged = numbers();
    result.hidden = document.querySelectorAll('section')[1].querySelectorAll('td.hidden').length;
    document.getElementById('merge').click(); document.getElementById('special').click(); result.words = numbers();
    result.wide = [document.documentElement.scrollWidth, innerWidth];
    return result;""",
  )
  weight_LxHxTxT = maps[0].weight_LxHxTxT
  close = lambda shown, array, atol: np.testing.assert_allclose(shown, array, atol=atol)
  close(found['clicked'], weight_LxHxTxT[0, 2], 1e-5)
  close(found['out'], weight_LxHxTxT[0, 2, 2], 6e-4)  # three decimals
  close(found['in'], weight_LxHxTxT[0, 2, :, 2], 6e-4)
  assert found['said'].startswith('“bank” attends most to')
  assert found['chosen'] == 'the'  # the first that is not special
  assert found['scrolls'] and found['kept']
  close(found['stays'], weight_LxHxTxT[0, 2], 1e-5)
  close(found['moved'], weight_LxHxTxT[1, 2], 1e-5)
  close(found['words'], weight_LxHxTxT[1, 2, 1:-1, 1:-1], 1e-5)
  assert found['wide'][0] <= found['wide'][1] == 390
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
