"""A report: one table only where certificates allow it, every number
right and linked, nothing dropped in silence.
"""

import dataclasses
import html.parser
import json
import re
import urllib.parse

import pytest

from configs.schema import check
from runtime.errors import StateError
from tools.report import comparable, differences, markdown, page, records, results, tables, words
from tools.report.pareto import pareto


def finished(mask, seed, loss, objective='mlm', evaluations=None, **certificate):
  same = dict(
    data='d',
    tokenizer='t',
    validation_sha256='v',
    tokens=5,
    rows_sha256=f'r{seed}',
    initial_sha256='i',
    masks_sha256=f'm{seed}{objective}',
    flops=100.0,
    predictions=9,
    planned_predictions=9,
    steps=2,
    validation_masks_sha256='',
    budget='steps',
  )
  return records.FinishedRun(
    f'{mask}-{objective}-{seed}',
    {'mask': mask, 'objectives': {objective: 1.0}, 'seed': seed},
    {'loss': loss},
    same | certificate,
    [(0, 9.0), (3, 8.0), (5, loss)],
    evaluations or {},
    {0: f'x{seed}', 1: f'y{seed}'},
  )


def sweep_of(*found, **table):
  return records.Sweep(
    's', 'about', dict(rows='mask', columns='objectives', value='loss') | table, list(found), []
  )


def answer(value, side='understanding', higher_is_better=True, unit='accuracy'):
  return dict(value=value, unit=unit, higher_is_better=higher_is_better, side=side)


def grid(seeds=(0, 1, 2)):
  """Three masks and two objectives without bidirectional + clm;
  an evaluation that is additive in both.
  """
  places = [
    ('bidirectional', 'mlm'),
    ('prefix', 'mlm'),
    ('prefix', 'clm'),
    ('causal', 'mlm'),
    ('causal', 'clm'),
  ]
  read, write = dict(bidirectional=0.9, prefix=0.8, causal=0.7), dict(mlm=0.0, clm=0.05)
  return [
    finished(
      mask,
      seed,
      3.0 + seed / 10,
      objective,
      dict(
        probe=answer(
          read[mask] - write[objective] + seed / 100 + (seed == 2) * (mask == 'causal') / 500
        ),
        blimp=answer(0.5 + write[objective] + seed / 100, 'generation', unit='share of pairs'),
      ),
    )
    for mask, objective in places
    for seed in seeds
  ]


def test_means_and_paired_differences_are_those_of_student():
  sweep = sweep_of(
    *(finished('a', seed, loss) for seed, loss in enumerate((1.0, 2.0, 3.0))),
    *(finished('b', seed, loss) for seed, loss in enumerate((1.5, 2.4, 3.6))),
  )
  [table] = tables.tables(sweep)
  assert (table.layout.rows, table.layout.columns) == (['a', 'b'], ['mlm'])
  # t(0.975, 2) = 4.3027, deviation 1, root of 3
  assert str(table.cells['a', 'mlm']) == '2.0000 ± 2.4841'
  [one] = table.differences
  assert one.mean.mean == pytest.approx(-0.5) and one.mean.half_width == pytest.approx(
    4.3027 * 0.1 / 3**0.5, rel=1e-4
  )
  assert one.p == pytest.approx(0.0131, abs=1e-4) and one.p_holm == one.p
  assert table.best('mlm') == ('a', True)


def test_differences_are_of_seeds_that_both_have_and_are_corrected_for_their_number():
  sweep = sweep_of(
    *(finished('a', seed, loss) for seed, loss in enumerate((1.0, 2.0, 3.0))),
    *(finished('b', seed, loss) for seed, loss in ((1, 2.4), (2, 3.6), (3, 90.0))),
    *(finished('c', seed, loss) for seed, loss in enumerate((1.5, 2.4, 3.6))),
  )
  found = {one.rows: one for one in tables.tables(sweep)[0].differences}
  assert found['a', 'b'].mean.seeds == (1, 2) and found['a', 'b'].mean.mean == pytest.approx(-0.5)
  assert [one.p_holm for one in found.values()] == differences.holm(
    [one.p for one in found.values()]
  )
  assert differences.holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_two_runs_of_a_seed_in_one_cell_are_refused():
  one = finished('a', 0, 1.0)
  other = dataclasses.replace(one, folder='other', changes=one.changes | {'steps': 9})
  with pytest.raises(
    StateError, match='a-mlm-0 and other stand in one cell .* name steps in the rows or columns'
  ):
    tables.tables(sweep_of(one, other))


@pytest.mark.parametrize('name', comparable.EQUAL)
def test_runs_that_differ_in_what_the_table_holds_equal_are_named(name):
  one, other = finished('a', 0, 1.0), finished('b', 0, 1.0, **{name: 'else'})
  assert comparable.differing(sweep_of(one, finished('b', 0, 1.0))) == []
  [line] = comparable.differing(sweep_of(one, other))
  assert name in line and 'a-mlm-0' in line and 'b-mlm-0' in line
  axis = comparable.EQUAL[name][0]
  explained = [
    dataclasses.replace(run, changes=run.changes | {axis + 'x' * axis.endswith('.'): run.folder})
    for run in (one, other)
  ]
  assert comparable.differing(sweep_of(*explained)) == []


def test_an_axis_excuses_only_the_runs_that_it_tells_apart():
  mlm, clm = finished('a', 0, 1.0), finished('a', 0, 1.0, 'clm')
  assert comparable.differing(sweep_of(mlm, clm)) == []  # another objective has other masks ...
  [line] = comparable.differing(
    sweep_of(mlm, clm, finished('b', 0, 1.0, 'clm', masks_sha256='else'))
  )
  assert 'masks_sha256: m0clm in a-clm-0, else in b-clm-0' in line  # ... but not another mask
  assert (
    comparable.differing(sweep_of(mlm, clm, finished('prefix', 0, 1.0, 'clm', masks_sha256='else')))
    == []
  )


def test_questions_about_sentences_have_rows_of_their_own():
  alone, pairs, more = (
    finished('a', 0, 1.0, rows_sha256=rows, tokens=tokens)
    for rows, tokens in (('packed', 5), ('pairs', 4), ('pairs', 3))
  )
  asked = lambda run, **also: dataclasses.replace(
    run, changes=run.changes | {'objectives': {'mlm': 1.0} | also}
  )
  assert comparable.differing(sweep_of(alone, asked(pairs, nsp=1.0))) == []
  assert (
    len(comparable.differing(sweep_of(alone, asked(pairs, nsp=1.0), asked(more, nsp=1.0)))) == 1
  )


@pytest.mark.parametrize(
  'budget, name, allowed, refused',
  [
    ('steps', 'tokens', 5, 6),
    ('tokens', 'tokens', 5, 6),
    ('flops', 'flops', 100.9, 101.1),
    ('predictions', 'planned_predictions', 9.08, 9.1),
  ],
)
def test_the_budget_says_what_is_equal(budget, name, allowed, refused):
  one = finished('a', 0, 1.0, budget=budget)
  assert (
    comparable.differing(sweep_of(one, finished('b', 0, 1.0, budget=budget, **{name: allowed})))
    == []
  )
  [line] = comparable.differing(
    sweep_of(one, finished('b', 0, 1.0, budget=budget, **{name: refused}))
  )
  assert line.startswith(f'{name}: ') and str(refused) in line
  others = {'tokens': 4, 'flops': 1.0, 'planned_predictions': 1}
  del others[name]
  assert comparable.differing(sweep_of(one, finished('b', 0, 1.0, budget=budget, **others))) == []
  mixed = sweep_of(one, finished('b', 0, 1.0, budget='flops' if budget != 'flops' else 'tokens'))
  assert any(line.startswith('budget: ') for line in comparable.differing(mixed))


def test_a_longer_run_read_the_same_rows_as_far_as_both_went():
  one = finished('a', 0, 1.0, budget='flops')
  longer = dataclasses.replace(
    finished('b', 0, 1.0, budget='flops', steps=3, rows_sha256='longer'),
    batches={0: 'x0', 1: 'y0', 2: 'z0'},
  )
  assert comparable.differing(sweep_of(one, longer)) == []
  [line] = comparable.differing(
    sweep_of(one, dataclasses.replace(longer, batches={0: 'x0', 1: 'else', 2: 'z0'}))
  )
  assert line.startswith('rows_sha256')


def test_an_evaluation_that_was_asked_otherwise_is_refused():
  one = finished('a', 0, 1.0, evaluations=dict(blimp=answer(0.5) | dict(limit=40)))
  other = finished('b', 0, 1.0, evaluations=dict(blimp=answer(0.6) | dict(limit=80)))
  assert comparable.differing(sweep_of(one, other)) == [
    'blimp: limit is 40 in a-mlm-0, 80 in b-mlm-0'
  ]


def test_how_a_run_was_scored_stands_beside_its_number(tmp_path):
  both = [
    finished(
      mask,
      seed,
      1.0,
      evaluations=dict(blimp=answer(0.5, unit=f'accuracy; {words}') | dict(score=score)),
    )
    for mask, score, words in (('a', 'pll', 'each token hidden'), ('b', 'causal', 'left to right'))
    for seed in (0, 1)
  ]
  sweep = sweep_of(*both)
  assert comparable.differing(sweep) == []
  table = tables.tables(sweep)[1]
  assert table.value.unit == 'accuracy' and table.layout.scores == {
    ('a', 'mlm'): 'pll',
    ('b', 'mlm'): 'causal',
  }
  html = page.page(sweep, [table], None, tmp_path, tmp_path)
  text = markdown.markdown(sweep, [table], None, '.')
  assert '<small>causal</small>' in html and '± 0.0000 (pll)' in text
  assert (
    'pll = each token hidden, causal = left to right' in text and 'causal = left to right' in html
  )
  alike = tables.tables(sweep_of(*both[:2]))[1]
  assert alike.layout.scores == {} and alike.value.unit == 'accuracy; each token hidden'


def test_losses_of_objectives_are_not_decomposed_and_evaluations_are():
  loss, blimp, probe = tables.tables(sweep_of(*grid()))
  assert loss.anova == [] and 'own question' in loss.layout.why_no_anova
  assert loss.layout.compare_rows and not loss.layout.compare_columns
  assert (blimp.value.unit, blimp.value.better) == ('share of pairs', 'higher')
  assert probe.layout.compare_columns
  [one] = probe.anova
  assert one.rows == ['prefix', 'causal'] and not probe.layout.why_no_anova
  assert one.row_effects['prefix'].mean == pytest.approx(0.05, abs=1e-3)
  assert one.column_effects['mlm'].mean == pytest.approx(0.025)
  assert all(abs(mean.mean) < 1e-12 for mean in one.interactions.values())
  assert probe.best('mlm')[0] == 'bidirectional'


def test_one_axis_is_a_table_with_one_column():
  found = [
    dataclasses.replace(run, changes={'schedule': run.changes['mask'], 'seed': run.seed})
    for run in grid()
    if 'mlm' in run.folder
  ]
  sweep = sweep_of(*found, rows='schedule', columns=(), value='probe')
  probe, _ = tables.tables(sweep)
  assert probe.layout.columns == [''] and len(probe.differences) == 3
  assert 'one axis' in probe.layout.why_no_anova
  asked = sweep_of(*grid(), rows='objectives', columns=(), value='loss', also=())
  asked.runs[:] = [run for run in asked.runs if run.changes['mask'] == 'causal']
  [loss] = tables.tables(asked)
  assert loss.differences == [] and not loss.layout.compare_rows
  absent = dataclasses.replace(sweep, table=dict(rows='schedule', value='finetune_rte', also=()))
  # and the page says what is not there
  assert [table.value.name for table in tables.tables(absent)] == ['loss']
  assert words.not_in_report(absent)[0].startswith('No run has a number for finetune_rte')
  assert '| schedule | probe |' in markdown.markdown(sweep, [probe], None, '.')


def test_the_front_is_what_no_run_beats_on_both_sides():
  found = pareto(sweep_of(*grid(seeds=(0,))))
  assert [run.folder for run in found.front] == ['bidirectional-mlm-0', 'prefix-clm-0']
  assert found.x.title == 'probe (accuracy)' and len(found.points) == 5


def test_less_is_better_where_an_evaluation_says_so_and_several_are_z_scored():
  made = [
    finished(
      mask,
      0,
      1.0,
      evaluations=dict(
        up=answer(up),
        down=answer(down, higher_is_better=False, unit='bits'),
        write=answer(1.0, 'generation'),
      ),
    )
    for mask, up, down in (('a', 1.0, 100.0), ('b', 3.0, 300.0), ('c', 2.0, 200.0))
  ]
  found = pareto(sweep_of(*made))
  # what one gains the other takes
  assert all(number == pytest.approx(0) for number in found.x.numbers.values())
  only = pareto(sweep_of(*made, plane=dict(understanding=('down',))))
  assert [run.folder for run in only.front] == ['a-mlm-0'] and not only.x.higher_is_better


def test_bits_a_byte_stand_for_generation_and_what_has_no_number_is_listed():
  made = [
    dataclasses.replace(
      run,
      validation=run.validation | ({'bits_per_byte': 2.0} if 'clm' in run.folder else {}),
      evaluations={'probe': run.evaluations['probe']},
    )
    for run in grid()
  ]
  sweep = sweep_of(*made)
  found = pareto(sweep)
  assert {run.folder.split('-')[1] for run in found.points} == {
    'clm'
  } and not found.y.higher_is_better
  assert words.missing_cells(sweep, found) == [
    f'{mask} + mlm: no number for generation (bits_per_byte)'
    for mask in ('bidirectional', 'prefix', 'causal')
  ]


class Links(html.parser.HTMLParser):
  """Targets and ends of the links of a page, and whether its tags close."""

  VOID = {'meta', 'line', 'circle', 'path', 'polyline', 'rect'}

  def __init__(self, text):
    super().__init__()
    self.ids, self.to, self.open = [], [], []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.ids += [value for name, value in attrs if name == 'id']
    self.to += [value for name, value in attrs if name == 'href']
    if tag not in self.VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    assert tag in self.VOID

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def test_every_number_leads_to_its_runs_and_every_run_to_its_files(tmp_path):
  sweep = dataclasses.replace(
    sweep_of(*grid(), also=('probe', 'blimp', 'finetune_x')), missing=['gone']
  )
  for run in sweep.runs:
    (tmp_path / 'sweep' / run.folder).mkdir(parents=True)
    (tmp_path / 'sweep' / run.folder / 'certificate.json').write_text('{}')
  found, both = tables.tables(sweep), pareto(sweep)
  html = page.page(sweep, found, both, tmp_path / 'sweep', tmp_path)
  links = Links(html)
  assert links.open == [] and len({*links.ids}) == len(links.ids)
  inside = {link[1:] for link in links.to if link.startswith('#')}
  assert inside <= {*links.ids}
  for run in sweep.runs:
    assert links.to.count(f'#run-{run.folder}') == 2  # from its curve and its point
    assert f'sweep/{run.folder}/certificate.json' in links.to
  assert all((tmp_path / link).exists() for link in links.to if not link.startswith('#'))
  places = {(run.changes['mask'], *run.changes['objectives']) for run in sweep.runs}
  assert sum(name.startswith('cell-') for name in inside) == len(places) == 5
  for phrase in (
    'No run has a number for finetune_x',
    'Not finished, so in no number here: gone',
    'No number: bidirectional + clm',
    'effect of mask',
    'own question',
  ):
    assert phrase in html, phrase
  assert not re.search(r'(src|href)="?(https?:)?//', html) and '<script' not in html
  text = markdown.markdown(sweep, found, both, 'sweep')
  assert '3.1000 ± 0.2484' in text and '3.1000' in html and '(sweep/causal-clm-1)' in text


def test_clm_losses_of_prefix_and_causal_are_not_compared_for_a_prefix_is_spared():
  def run(mask, seed, loss, prefixes=''):
    made = finished(mask, seed, loss, 'clm', validation_masks_sha256=prefixes)
    return dataclasses.replace(made, validation=dict(loss=loss, clm_loss=loss))

  causal = [run('causal', 0, 2.0), run('causal', 1, 2.1)]
  [alike] = tables.tables(sweep_of(*causal, run('window', 0, 1.0), run('window', 1, 1.15)))
  assert len(alike.differences) == 1 and alike.best('clm')[0] == 'window'
  [apart] = tables.tables(
    sweep_of(*causal, run('prefix', 0, 1.0, 'p'), run('prefix', 1, 1.15, 'p'))
  )
  assert not apart.differences and apart.best('clm') == (None, False)
  assert 'prefix' in apart.layout.why_no_anova


def test_a_certificate_of_the_run_is_read_and_an_incomplete_one_is_refused(tmp_path):
  made = finished('a', 0, 1.0).certificate
  config = dict(steps=2)
  said = dict(
    name='s',
    about='s',
    table=dict(rows='mask', value='loss'),
    evaluations=[],
    runs=[dict(folder='one', changes=dict(mask='a'), config_hash=check.config_hash(config))],
  )
  (tmp_path / 'sweep.json').write_text(json.dumps(said))
  folder = tmp_path / 'one'
  folder.mkdir()
  (folder / 'metrics.jsonl').write_text(
    '{"step": 0, "batch_hash": "x", "tokens": 0, "val/loss": 2.0}\n'
  )
  for name, content in (
    ('config', config),
    ('data', dict(data='d', tokenizer='t')),
    ('initial', dict(sha256='i')),
    ('result', dict(step=2, tokens=5, validation_sha256='v', validation=dict(loss=1.0))),
  ):
    (folder / f'{name}.json').write_text(json.dumps(content))
  worked_out = results.load(tmp_path)
  assert not worked_out.certified and worked_out.runs[0].certificate['tokens'] == 5
  (folder / 'certificate.json').write_text(json.dumps(made | dict(tokens=7)))
  sweep = results.load(tmp_path)
  assert sweep.certified and sweep.runs[0].certificate['tokens'] == 7
  (folder / 'certificate.json').write_text(
    json.dumps({name: made[name] for name in made if name != 'flops'})
  )
  with pytest.raises(StateError, match='says nothing of flops'):
    results.load(tmp_path)
  (folder / 'evaluations.json').write_text('{"blimp": {"value": "high"}}')
  (folder / 'certificate.json').unlink()
  with pytest.raises(StateError, match='blimp.* has no finite number'):
    results.load(tmp_path)


NASTY = (
  '$x_1^2$ a_b_c *x* `y` [z](w)',
  '<script>alert("1")</script> &amp; \'q\'',
  '100% \\frac{a}{b} | # ~~s~~ !',
  '\u65e5\u672c \U0001f642 \u05e9\u05dc\u05d5\u05dd e\u0301',
)


class Words(html.parser.HTMLParser):
  """The text of a page, and its tags."""

  def __init__(self, page: str):
    super().__init__()
    self.text, self.tags, self.to = '', set(), []
    self.feed(page)

  def handle_data(self, data):
    self.text += data

  def handle_starttag(self, tag, attrs):
    self.tags.add(tag)
    self.to += [value for name, value in attrs if name == 'href']


@pytest.mark.parametrize('nasty', NASTY, ids=ascii)
def test_names_are_words_in_the_page_and_in_markdown(tmp_path, nasty):
  plain = Words(_page(grid(), 's', tmp_path))
  runs = [
    dataclasses.replace(run, folder=f'{nasty.replace("/", "")} {run.folder}', changes=changes)
    for run in grid()
    for changes in [run.changes | {'mask': run.changes['mask'].replace('causal', nasty)}]
  ]
  for run in runs:
    (tmp_path / run.folder).mkdir()
  found = Words(_page(runs, nasty, tmp_path))
  assert found.tags == plain.tags
  assert found.text.count(nasty) >= 10
  links = {urllib.parse.unquote(link) for link in found.to if not link.startswith('#')}
  assert {run.folder for run in runs} <= {link.strip('/') for link in links}

  markdown_it = pytest.importorskip('markdown_it')
  sweep = dataclasses.replace(sweep_of(*runs), name=nasty, about=nasty)
  text = markdown.markdown(sweep, tables.tables(sweep), pareto(sweep), '.')
  rendered = Words(markdown_it.MarkdownIt('gfm-like', {'linkify': False}).render(text))
  names = {'h1', 'h2', 'h3', 'p', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'ul', 'li'}
  assert rendered.tags <= names
  assert rendered.text.count(nasty) >= 10
  folders = {urllib.parse.unquote(link).strip('/') for link in rendered.to}
  assert {run.folder for run in runs} <= folders


def _page(runs, name, folder) -> str:
  sweep = dataclasses.replace(sweep_of(*runs), name=name, about=name)
  return page.page(sweep, tables.tables(sweep), pareto(sweep), folder, folder)
