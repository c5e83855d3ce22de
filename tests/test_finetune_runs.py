"""Fine-tuning as a run: files in; a model, its labels, its scores and its predictions out."""

import json
from pathlib import Path
import signal

import numpy as np
import pytest
import runs

WORDS = runs.WORDS[:15]


@pytest.fixture(scope='module')
def trunk(tmp_path_factory) -> Path:
  """A pre-trained model: two layers, a vocabulary of its own."""
  folder = tmp_path_factory.mktemp('trunk')
  text = runs.corpus(folder)
  done = runs.run(runs.command('bert_tiny', folder / 'run', text, steps=6))
  assert done.returncode == 0, done.stderr
  return folder / 'run'


@pytest.fixture(scope='module')
def table(tmp_path_factory) -> Path:
  """Three CSV files; the label says whether "fish" or "boat" is among the words."""
  return runs.table(tmp_path_factory.mktemp('table'))


def command(trunk: Path, task: str, workdir: Path, config='classify', **changes) -> list[str]:
  return runs.finetune(f'finetune/{config}', trunk, task, workdir, **changes)


@pytest.fixture(scope='module')
def whole(trunk, table, tmp_path_factory) -> Path:
  """The workdir of an undisturbed run."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  done = runs.run(command(trunk, f'csv:{table}', workdir))
  assert done.returncode == 0, done.stderr
  assert 're-initialised: sequence' in done.stdout.replace('\n', ' ')
  return workdir


def test_a_run_leaves_labels_scores_predictions_and_a_certificate(whole):
  result = json.loads((whole / 'result.json').read_text())
  assert result['majority']['test']['accuracy'] == 12 / 19
  assert 0 <= result['validation']['accuracy'] <= 1 and result['metric'] == 'accuracy'
  labels = json.loads((whole / 'labels.json').read_text())
  assert labels['classes'] == ['boat', 'fish'] and labels['train'] == dict(boat=20, fish=40)
  assert labels['pooling'] == 'first' and labels['kind'] == 'text'
  for split, count in dict(validation=21, test=19).items():
    lines = [json.loads(line) for line in (whole / f'predictions_{split}.jsonl').open()]
    assert len(lines) == count
    hits = sum(line['gold'] == line['prediction'] for line in lines)
    assert result[split]['accuracy'] == pytest.approx(hits / count)
    for line in lines:
      assert line['text'].endswith(line['gold'])
      assert line['probability'] == max(line['probabilities'].values())
      assert sum(line['probabilities'].values()) == pytest.approx(1)
      # the loss is what the probabilities say
    nats = [-np.log(line['probabilities'][line['gold']]) for line in lines]
    assert result[split]['loss'] == pytest.approx(np.mean(nats), rel=1e-4)
  for name in ('certificate.json', 'curves.png', 'labels.png'):
    assert (whole / name).exists(), name
  config = json.loads((whole / 'config.json').read_text())
  assert config['model']['width'] == 32 and config['mask'] == 'bidirectional'
  assert config['data']['tokenizer'].endswith('tokenizer.json')


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(trunk, table, whole, tmp_path):
  args = command(trunk, f'csv:{table}', tmp_path / 'run')
  assert runs.run(args, fault='die_at_step:6').returncode == -signal.SIGKILL
  last = runs.run(args)
  assert last.returncode == 0 and 'at step 4' in last.stdout, last.stderr
  assert runs.rows(tmp_path / 'run') == runs.rows(whole)
  assert runs.digest(tmp_path / 'run') == runs.digest(whole)
  for name in ('certificate.json', 'predictions_test.jsonl', 'predictions_validation.jsonl'):
    assert (tmp_path / 'run' / name).read_text() == (whole / name).read_text(), name


def test_the_best_parameters_are_kept_and_a_run_ends_when_nothing_gets_better(
  trunk, table, tmp_path
):
  options = {
    'steps': 40,
    'validation.every': 2,
    'validation.patience': 3,
    'checkpoint.best': 'metric',
    'optimizer.layer_decay': 0.8,
    'finetune.label_smoothing': 0.1,
    'finetune.class_weights': 'balanced',
    'finetune.pooling': 'mean',
  }
  args = command(trunk, f'csv:{table}', tmp_path / 'run', **options)
  assert runs.run(args, fault='die_at_step:5').returncode == -signal.SIGKILL
  done = runs.run(args)
  assert done.returncode == 0, done.stderr
  rows, result = runs.rows(tmp_path / 'run'), json.loads((tmp_path / 'run/result.json').read_text())
  scores = {row['step']: row['val/accuracy'] for row in rows if 'val/accuracy' in row}
  best = max(scores, key=lambda step: (scores[step], -step))
  assert result['best'] == dict(metric='accuracy', step=best, value=scores[best])
  assert result['validation']['accuracy'] == scores[best]
  assert result['stopped_early'] and result['step'] == best + 6 == rows[-1]['step'] < 40
  assert [path.name for path in (tmp_path / 'run/best').iterdir()] == [f'step_{best:08d}']
  again = runs.run(args)
  assert again.returncode == 0 and 'this run is finished' in again.stdout


@pytest.mark.slow
def test_eight_devices_train_as_one(trunk, table, whole, tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '8')
  done = runs.run(command(trunk, f'csv:{table}', tmp_path / 'run'))
  assert done.returncode == 0, done.stderr
  assert '8 x cpu' in done.stdout
  one, eight = (
    json.loads((path / 'certificate.json').read_text()) for path in (whole, tmp_path / 'run')
  )
  assert one['rows_sha256'] == eight['rows_sha256'] and one['tokens'] == eight['tokens']
  for row, other in zip(runs.rows(whole), runs.rows(tmp_path / 'run'), strict=True):
    for name in ('train/loss', 'val/loss', 'gradient_norm'):
      # dropout is on and keyed by row, so only the order of float32 sums differs
      assert (name in row) == (name in other)
      assert row.get(name, 0) == pytest.approx(other.get(name, 0), rel=2e-3), (row['step'], name)


@pytest.mark.slow
def test_questions_are_answered_and_the_threshold_is_kept(trunk, tmp_path):
  random = np.random.default_rng(0)
  articles = []
  for number in range(12):
    words = [str(word) for word in random.choice(WORDS, 40)]
    words[int(random.integers(0, 40))] = 'fish'
    context = ' '.join(words)
    place = context.index('fish')
    fish = dict(
      id=f'{number}a', question='Who swims?', answers=[dict(text='fish', answer_start=place)]
    )
    none = dict(id=f'{number}b', question='Who flies?', answers=[], is_impossible=True)
    paragraph = dict(context=context, qas=[fish, none])
    articles.append(dict(title=str(number), paragraphs=[paragraph]))
  path = tmp_path / 'a.json'
  path.write_text(json.dumps(dict(data=articles)))
  args = command(trunk, f'squad:{path}', tmp_path / 'run', config='answer', **{'data.stride': 8})
  done = runs.run(args)
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'run/result.json').read_text())
  assert {'exact_match', 'f1', 'has_answer_f1', 'no_answer_f1'} <= set(result['validation'])
  labels = json.loads((tmp_path / 'run/labels.json').read_text())
  assert labels['null_threshold'] == result['null_threshold'] and labels['kind'] == 'question'
  for line in map(json.loads, (tmp_path / 'run/predictions_validation.jsonl').open()):
    said = '' if line['null_lead'] > result['null_threshold'] else line['n_best'][0]['text'].strip()
    assert line['prediction'] == said and 0 <= line['probability'] <= 1


@pytest.mark.slow
def test_words_are_tagged_and_a_generator_reads_them_with_its_own_loss_beside(trunk, tmp_path):
  sentences = []
  for number in range(40):
    sentences.append(
      '\n'.join(f'{word} {"B-X" if word == "bank" else "O"}' for word in WORDS[number % 5 :])
    )
  path = tmp_path / 'a.conll'
  path.write_text('\n\n'.join(sentences) + '\n')
  changes = {'objectives': "{'tag': 1.0, 'clm': 0.5}", 'mask': 'causal', 'data.sequence_length': 12}
  args = command(trunk, f'conll:{path}', tmp_path / 'run', config='tag', **changes)
  done = runs.run(args)
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'run/result.json').read_text())
  assert {'f1', 'precision', 'recall', 'accuracy', 'clm_loss'} <= set(result['validation'])
  assert result['cut_examples']['validation'] > 0
  lines = [json.loads(line) for line in (tmp_path / 'run/predictions_validation.jsonl').open()]
  cut = [line for line in lines if len(line['words']) > 10]
  assert cut and all(line['prediction'][-1] is None for line in cut)
  loss = runs.rows(tmp_path / 'run')[3]
  assert loss['train/loss'] == pytest.approx(
    loss['train/tag_loss'] + 0.5 * loss['train/clm_loss'], rel=1e-4
  )


def test_lists_are_ranked_and_tools_rank_uses_the_model(trunk, tmp_path):
  random = np.random.default_rng(0)
  rows = []
  for _ in range(60):
    docs = [' '.join([*random.choice(WORDS, 3), word]) for word in ('fish', 'boat', 'mud')]
    order = random.permutation(3)
    rows.append(
      dict(
        query='who swims', docs=[docs[at] for at in order], labels=[[2, 1, 0][at] for at in order]
      )
    )
  for split, part in dict(train=rows[:48], test=rows[48:]).items():
    (tmp_path / f'{split}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in part))
  done = runs.run(
    command(trunk, f'ranked:{tmp_path}', tmp_path / 'run', 'rank', steps=60, **{'mask': 'same'})
  )
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'run/result.json').read_text())
  said = [json.loads(line) for line in (tmp_path / 'run/predictions_test.jsonl').open()]
  assert len(said) == 12 and all(len(one['prediction']) == 3 for one in said)
  hits = [np.argmax(one['prediction']) == np.argmax(one['gold']) for one in said]
  test = result['test'] if 'test' in result else result['scores']['test']
  assert test['accuracy'] == np.mean(hits) and test['accuracy'] > 0.6 and test['ndcg@10'] > 0.8
  (tmp_path / 'lines.txt').write_text('the old mud\nthe old boat\nthe old fish\n')
  asked = [f'--weights={tmp_path / "run"}', '--query=who swims', f'--input={tmp_path}/lines.txt']
  done = runs.run([runs.sys.executable, '-m', 'tools.rank', *asked, '--json'])
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)['results']
  assert found[0]['text'] == 'the old fish' and all(0 < one['score'] < 1 for one in found)
