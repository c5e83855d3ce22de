"""STS, retrieval, pairs, reranking: values of the anchors, ties, files, eval.py from end to end."""

import json
from types import SimpleNamespace

import in_process
import numpy as np
import pytest
from test_convert import WORDS, random_weights

from data.errors import DataError
from data.tasks import beir, candidates
from data.tasks import sts as sts_files
from evaluation import tasks
from evaluation.errors import TaskError
from evaluation.subject import Subject
from evaluation.vectors import common, leaderboard, pairs, ranking, rerank, retrieval, sts
from inference.embed import Embedder
from inference.sentences import Sentences
from tools.claims import evidence, measure, schema
from training import load as loading


def unit_vectors(rng, count: int, ties: bool) -> np.ndarray:
  """Random directions; with ties, corners of a cube, whose cosines are exact and often equal."""
  if ties:
    return rng.choice([-0.5, 0.5], (count, 4)).astype(np.float32)
  vector_NxD = rng.normal(size=(count, 16))
  return (vector_NxD / np.linalg.norm(vector_NxD, axis=1, keepdims=True)).astype(np.float32)


def texts(count: int, seed: int) -> list[str]:
  """Different texts, of words that the tokenizer of `random_weights` knows."""
  rng = np.random.default_rng(seed)
  known = [word for word in WORDS if word.isalpha()]
  found: dict[str, None] = {}
  while len(found) < count:
    found[' '.join(rng.choice(known, rng.integers(2, 9)))] = None
  return list(found)


# By hand: a ranking with gains, and what is relevant.


def test_scores_of_a_ranked_list_are_those_computed_by_hand():
  gains = [0, 2, 0, 1]
  assert ranking.reciprocal_rank(gains, 10) == 1 / 2 and ranking.reciprocal_rank(gains, 1) == 0
  assert ranking.recall(gains, 4, 3) == 1 / 4 and ranking.recall(gains, 4, 4) == 1 / 2
  assert ranking.average_precision(gains, 3, 4) == pytest.approx((1 / 2 + 2 / 4) / 3)
  assert ranking.average_precision(gains, 3, 2) == pytest.approx((1 / 2) / 2)
  # 2 at rank 2 and 1 at rank 4, of 2 at 1, 1 at 2 and 1 at 3
  gained = 2 / np.log2(3) + 1 / np.log2(5)
  assert ranking.ndcg(gains, [1, 2, 1], 10) == pytest.approx(
    gained / (2 + 1 / np.log2(3) + 1 / np.log2(4))
  )


def test_the_best_thresholds_are_those_computed_by_hand():
  found = pairs.tabulate(np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, False, True]))
  assert found == pytest.approx(
    dict(
      ap=(1 + 2 / 3) / 2,
      accuracy=3 / 4,
      accuracy_threshold=0.85,
      f1=4 / 5,
      f1_threshold=0.15,
      precision=2 / 3,
      recall=1.0,
    )
  )
  against = pairs.tabulate(np.array([0.9, 0.1, 0.2]), np.array([False, True, False]))
  assert against['accuracy'] == 2 / 3 and against['accuracy_threshold'] > 0.9  # says 0 of all


def test_of_equal_texts_no_order_earns_anything():
  alike = rerank.tabulate(np.full(20, 0.5), 4)
  assert alike == {'map': 4 / 20, 'mrr@10': 0.0, 'ndcg@10': 0.0}
  assert rerank.tabulate(np.array([0.9, 0.1, 0.5]), 1)['map'] == 1


def test_a_constant_correlates_with_nothing_and_ties_have_their_mean_rank():
  gold_N, cosine_N = np.array([0.0, 1, 1, 2]), np.array([0.1, 0.1, 0.3, 0.2])
  # ranks 1, 2.5, 2.5, 4 and 1.5, 1.5, 4, 3
  assert sts.correlations(gold_N, cosine_N)['spearman'] == pytest.approx(
    np.corrcoef([1, 2.5, 2.5, 4], [1.5, 1.5, 4, 3])[0, 1]
  )
  assert sts.correlations(gold_N, np.ones(4)) == dict(spearman=0, pearson=0)


def test_equal_vectors_have_cosine_one_and_no_vector_has_none():
  vector_NxD = unit_vectors(np.random.default_rng(0), 200, ties=False)
  assert set(common.cosines(vector_NxD, vector_NxD)) == {1.0}
  assert common.cosines(np.zeros((1, 4)), np.ones((1, 4))) == 0


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('chunk', [1, 7, 60])
def test_the_nearest_are_those_of_a_full_sort_whatever_the_chunks(ties, chunk):
  rng = np.random.default_rng(chunk)
  query_QxD, vector_NxD = unit_vectors(rng, 600, ties), unit_vectors(rng, 60, ties)
  ids = [f'd{number}' for number in rng.permutation(60)]
  nearest = ranking.Nearest(query_QxD, 9)
  for start in range(0, 60, chunk):
    nearest.add(ids[start : start + chunk], vector_NxD[start : start + chunk])
  for query_D, found in zip(query_QxD, nearest.ranked(), strict=True):
    cosine_N = (vector_NxD.astype(np.float64) @ query_D).astype(np.float32)
    whole = sorted(range(60), key=lambda index: (-cosine_N[index], ids[index]))
    assert found == [ids[index] for index in whole[:9]]


# Against sentence-transformers.


class Lookup:
  """A model of sentence-transformers that gives each text the vector it is told."""

  similarity_fn_name = 'cosine'
  model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

  def __init__(self, vector_of):
    self._vector_of = vector_of

  def encode(self, given, convert_to_tensor=False, **_):
    import torch

    vector_NxD = np.stack([self._vector_of[text] for text in given])
    return torch.tensor(vector_NxD) if convert_to_tensor else vector_NxD

  encode_query = encode_document = encode

  def similarity(self, one, other):
    from sentence_transformers.util import cos_sim

    return cos_sim(one, other)


@pytest.fixture
def evaluators():
  pytest.importorskip('sentence_transformers', reason='needs the extra parity')
  from sentence_transformers.sentence_transformer import evaluation

  return evaluation


SEEDS = range(12)


@pytest.mark.parametrize('ties', [False, True])
def test_correlations_are_those_of_the_anchor(evaluators, ties):
  for seed in SEEDS:
    rng = np.random.default_rng(seed)
    u_NxD, v_NxD = unit_vectors(rng, 80, ties), unit_vectors(rng, 80, ties)
    gold_N = rng.integers(0, 6, 80) / 5
    model = Lookup(
      {f'{side}{i}': x[i] for side, x in (('u', u_NxD), ('v', v_NxD)) for i in range(80)}
    )
    theirs = evaluators.EmbeddingSimilarityEvaluator(
      [f'u{i}' for i in range(80)], [f'v{i}' for i in range(80)], gold_N.tolist(), write_csv=False
    )(model)
    ours = sts.correlations(gold_N, common.cosines(u_NxD, v_NxD))
    assert ours['spearman'] == pytest.approx(theirs['spearman_cosine'], abs=1e-9)
    assert ours['pearson'] == pytest.approx(theirs['pearson_cosine'], abs=1e-6)


@pytest.mark.parametrize('ties', [False, True])
def test_classes_of_pairs_are_those_of_the_anchor(evaluators, ties):
  for seed in SEEDS:
    rng = np.random.default_rng(seed)
    u_NxD, v_NxD = unit_vectors(rng, 50, ties), unit_vectors(rng, 50, ties)
    label_N = rng.random(50) < rng.uniform(0.05, 0.95)
    label_N[:2] = True, False
    model = Lookup(
      {f'{side}{i}': x[i] for side, x in (('u', u_NxD), ('v', v_NxD)) for i in range(50)}
    )
    theirs = evaluators.BinaryClassificationEvaluator(
      [f'u{i}' for i in range(50)],
      [f'v{i}' for i in range(50)],
      label_N.astype(int).tolist(),
      write_csv=False,
    )(model)
    for name, value in pairs.tabulate(common.cosines(u_NxD, v_NxD), label_N).items():
      assert value == pytest.approx(theirs[f'cosine_{name}'], abs=1e-6), (seed, name)


@pytest.mark.parametrize('ties', [False, True])
def test_retrieval_is_that_of_the_anchor(evaluators, ties):
  for seed in SEEDS:
    rng = np.random.default_rng(seed)
    query_QxD, vector_NxD = unit_vectors(rng, 9, ties), unit_vectors(rng, 150, ties)
    queries = {f'q{i}': f'question {i}' for i in range(9)}
    corpus = {f'd{i}': f'document {i}' for i in rng.permutation(150)}
    judged = {
      query: {f'd{i}': 1 for i in rng.choice(160, rng.integers(1, 130), replace=False)}
      for query in queries
    }
    vector_of = {f'question {i}': x for i, x in enumerate(query_QxD)}
    vector_of |= {f'document {i}': x for i, x in enumerate(vector_NxD)}
    theirs = evaluators.InformationRetrievalEvaluator(
      queries,
      corpus,
      {query: set(grades) for query, grades in judged.items()},
      precision_recall_at_k=[10, 100],
      corpus_chunk_size=int(rng.integers(10, 200)),
      write_csv=False,
    )(Lookup(vector_of))
    nearest = ranking.Nearest(query_QxD, 100)
    nearest.add(list(corpus), np.stack([vector_of[text] for text in corpus.values()]))
    ours = retrieval.tabulate(dict(zip(queries, nearest.ranked())), judged)
    for name, value in ours.items():
      assert value == pytest.approx(theirs[f'cosine_{name}'], abs=1e-9), (seed, name)


@pytest.mark.parametrize('ties', [False, True])
def test_reranking_is_that_of_the_anchor(evaluators, ties):
  for seed in SEEDS:
    rng = np.random.default_rng(seed)
    positive, negative = (int(count) for count in rng.integers(1, 15, 2))
    vector_NxD = unit_vectors(rng, 1 + positive + negative, ties)
    names = [f't{i}' for i in range(len(vector_NxD))]
    sample = dict(query=names[0], positive=names[1 : 1 + positive], negative=names[1 + positive :])
    theirs = evaluators.RerankingEvaluator([sample], write_csv=False)(
      Lookup(dict(zip(names, vector_NxD)))
    )
    cosine_N = common.cosines(vector_NxD[1:], np.broadcast_to(vector_NxD[0], vector_NxD[1:].shape))
    ours = rerank.tabulate(cosine_N, positive)
    for name in ('map',) if ties else ours:  # where texts tie, the order of theirs is any
      assert ours[name] == pytest.approx(theirs[name], abs=1e-6), (seed, name)


# Files.


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder with files of every task."""
  root = tmp_path_factory.mktemp('tasks')
  write = lambda path, lines: (root / path).write_text(''.join(f'{line}\n' for line in lines))
  for name in ('sts', 'sick', 'retrieval/qrels', 'pairs'):
    (root / name).mkdir(parents=True)
  known = texts(100, seed=1)
  rng = np.random.default_rng(1)
  for place, name in enumerate(('2012.A.test', '2012.B.test', '2012.A.train', 'stsb.test')):
    some = known[20 * place : 20 * place + 20]
    write(
      f'sts/{name}.tsv',
      (f'{rng.integers(0, 6)}.0\t{a}\t{b}' for a, b in zip(some[::2], some[1::2])),
    )
  write(
    'sick/SICK_test_annotated.txt',
    [
      'pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment',
      *(f'{i}\t{known[i]}\t{known[-i]}\t{1 + i / 3}\tNEUTRAL' for i in range(1, 9)),
    ],
  )
  write(
    'retrieval/corpus.jsonl',
    (json.dumps(dict(_id=f'd{i}', title='a' * (i % 2), text=known[i])) for i in range(50)),
  )
  write(
    'retrieval/queries.jsonl',
    (json.dumps(dict(_id=f'q{i}', text=known[-1 - i])) for i in range(6)),
  )
  write(
    'retrieval/qrels/test.tsv',
    [
      'query-id\tcorpus-id\tscore',
      *(f'q{i}\td{7 * i + j}\t{j}' for i in range(5) for j in (0, 1, 2)),
    ],
  )
  write(
    'pairs/dup.tsv',
    ['sentence1\tsentence2\tlabel', *(f'{known[i]}\t{known[i + 1]}\t{i % 2}' for i in range(16))],
  )
  write(
    'rerank.jsonl',
    (
      json.dumps(dict(query=known[i], positive=known[i + 1], negative=known[i + 2 : i + 5]))
      for i in range(7)
    ),
  )
  return root


def subject(folder, limit=0) -> Subject:
  return Subject(random_weights('bert'), folder, limit, None, lambda *_: None)


def test_all_tasks_are_what_the_anchor_finds_with_the_same_vectors(evaluators, folder):
  """Through files and the network: the anchor is given the vectors of the embedder."""
  asked = subject(folder)
  embed = Embedder(asked.model)

  class Same(Lookup):
    def __init__(self):
      self._vector_of = type('Embed', (), dict(__getitem__=lambda _, text: embed([text])[0]))()

  found = {}
  for name in ('sts', 'retrieval', 'pairs', 'rerank'):
    found |= tasks.TASKS[name](asked)
  together = [
    pair for name in 'AB' for pair in sts_files.read(folder / f'sts/2012.{name}.test.tsv')
  ]
  theirs = evaluators.EmbeddingSimilarityEvaluator(
    *([pair.texts[side] for pair in together] for side in (0, 1)),
    [pair.label for pair in together],
    write_csv=False,
  )(Same())
  assert found['sts_2012']['value'] == pytest.approx(theirs['spearman_cosine'], abs=1e-6)
  parts = [found[name]['value'] for name in ('sts_2012', 'sts_stsb', 'sick_r')]
  assert found['sts']['value'] == pytest.approx(np.mean(parts))
  theirs = evaluators.RerankingEvaluator(
    [one._asdict() for one in candidates.read(folder / 'rerank.jsonl')], write_csv=False
  )(Same())
  assert found['rerank']['value'] == pytest.approx(theirs['map'], abs=1e-6)
  theirs = evaluators.InformationRetrievalEvaluator(
    beir.queries(folder / 'retrieval'),
    dict(beir.documents(folder / 'retrieval')),
    {
      query: {id_ for id_, grade in grades.items() if grade > 0}
      for query, grades in beir.judgements(folder / 'retrieval').items()
    },
    write_csv=False,
  )(Same())
  assert found['retrieval']['other_scores']['mrr@10'] == pytest.approx(
    theirs['cosine_mrr@10'], abs=1e-6
  )


def test_an_entry_says_rule_data_and_what_was_left_out(folder):
  found = tasks.TASKS['sts'](subject(folder))
  assert list(found) == ['sts', 'sts_2012', 'sts_stsb', 'sick_r']
  year = found['sts_2012']
  assert year['unit'] == 'Spearman correlation of the cosine, all pairs of 2 files together'
  assert list(year['files']) == ['2012.A.test.tsv', '2012.B.test.tsv'] and year['pairs'] == 20
  assert found['sts']['unit'].endswith('mean of sts_2012, sts_stsb, sick_r')
  assert 'left out, no test file: 2012.A.train.tsv' in found['sts']['notes']
  assert 'sts_2012 has 20 pairs where the published test set has 3,108' in found['sts']['notes']
  hashes = {entry['data_sha256'] for entry in found.values()}
  assert len(hashes) == 4 and all(len(each) == 64 for each in hashes)
  fewer = tasks.TASKS['sts'](subject(folder, limit=9))['sts_2012']
  assert fewer['pairs'] == 18 and fewer['data_sha256'] not in hashes
  [note] = tasks.TASKS['retrieval'](subject(folder))['retrieval']['notes']
  assert note == 'queries without a relevant document, left out: 1 of 6'
  lines = tasks.rows(found)
  assert 'mean of' in lines['sts'] and 'train.tsv' in lines['  sts, note 1']


def test_several_sets_have_a_mean(folder, tmp_path):
  for name in ('one', 'two'):
    (tmp_path / 'rerank').mkdir(exist_ok=True)
    (tmp_path / f'rerank/{name}.jsonl').write_text((folder / 'rerank.jsonl').read_text())
    (tmp_path / 'retrieval').mkdir(exist_ok=True)
    (tmp_path / f'retrieval/{name}').symlink_to(folder / 'retrieval')
  asked = subject(tmp_path)
  for task in ('rerank', 'retrieval'):
    found = tasks.TASKS[task](asked)
    assert list(found) == [task, f'{task}_one', f'{task}_two']
    assert found[task]['value'] == pytest.approx(found[f'{task}_one']['value'])
    assert found[task]['unit'].endswith(f'mean of {task}_one, {task}_two')
    assert task not in leaderboard.results(found, 1.0)


@pytest.mark.parametrize(
  'task, path, content, words',
  [
    ('sts', 'sts/2012.A.test.tsv', '4.0\ta\n', 'A.test.tsv, line 1: expected score, tab'),
    ('sts', 'sts/2012.A.test.tsv', '4\ta\tb\nx\ta\tb\n', 'line 2: the score must be a number'),
    ('sts', 'sts/2012.A.test.tsv', 'nan\ta\tb\n', 'line 1: the score must be a number'),
    ('sts', 'sts/2012.A.test.tsv', '4\t \tb\n', 'line 1: expected score'),
    ('sts', 'sts/2012.A.test.tsv', '4\ta\tb\n4\tb\tc\n', 'nothing correlates with a constant'),
    ('sts', 'sts/2012.A.train.tsv', '4\ta\tb\n', 'no files of STS.*it has 2012.A.train.tsv'),
    ('retrieval', 'x', '', 'has no corpus.jsonl'),
    ('retrieval', 'corpus.jsonl', '{"_id": "a"}', 'queries.jsonl: no such file'),
    ('pairs', 'x', '', 'no files of pairs: pairs/NAME.tsv or pairs.tsv is needed'),
    (
      'pairs',
      'pairs.tsv',
      'sentence1\tsentence2\tlabel\na\tb\t2\n',
      'line 2: the label must be 0 or 1',
    ),
    ('pairs', 'pairs.tsv', 'sentence1\tsentence2\tlabel\na\tb\t1\n', 'are of one class'),
    ('pairs', 'pairs.tsv', 'text\tlabel\na\t1\nb\t0\n', 'sentence1 and sentence2 are needed'),
    ('rerank', 'rerank.jsonl', '{"query": "a", "positive": ["b"]}', "line 1: no 'negative'"),
    (
      'rerank',
      'rerank.jsonl',
      '{"query": ["a"], "positive": [], "negative": []}',
      "'query' must be",
    ),
    ('rerank', 'rerank.jsonl', '{"query": "a", "positive": [], "negative": "b"}', 'no query of'),
    (
      'rerank',
      'rerank.jsonl',
      '{"query": "a", "positive": [1], "negative": "b"}',
      "'positive' must",
    ),
  ],
)
def test_what_cannot_be_scored_is_refused_with_its_place(tmp_path, task, path, content, words):
  (tmp_path / path).parent.mkdir(exist_ok=True)
  (tmp_path / path).write_text(content)
  with pytest.raises((DataError, TaskError), match=words):
    tasks.TASKS[task](subject(tmp_path))
  with pytest.raises(TaskError, match='--task_data=FOLDER is missing'):
    tasks.TASKS[task](subject(None))


RIGHT = {
  'corpus.jsonl': '{"_id": "a", "text": "b"}',
  'queries.jsonl': '{"_id": 1, "text": "c"}',
  'qrels/test.tsv': 'query-id\tcorpus-id\tscore\n1\ta\t1\n',
}


@pytest.mark.parametrize(
  'path, content, words',
  [
    ('corpus.jsonl', '{"_id": "a", "text": 3}', 'corpus.jsonl, line 1: title and text must be'),
    ('corpus.jsonl', '{"text": "b"}', 'line 1: _id must be a text, and is None'),
    (
      'corpus.jsonl',
      '{"_id": "a", "text": ""}\n{"_id": "a", "text": ""}',
      "line 2: _id 'a' is there",
    ),
    ('corpus.jsonl', '[1]', 'line 1: expected a JSON object'),
    ('corpus.jsonl', '', 'holds no documents'),
    ('queries.jsonl', '{"_id": 1, "text": " "}', 'queries.jsonl, line 1: the text of a query'),
    ('qrels/test.tsv', '1\ta\t1\n', 'test.tsv, line 1: expected the header'),
    ('qrels/test.tsv', RIGHT['qrels/test.tsv'] + '1\ta\tx\n', 'line 3: the score must be a whole'),
    ('qrels/test.tsv', RIGHT['qrels/test.tsv'] + '1\ta\t2\n', "line 3: 'a' is judged 2 for '1'"),
    ('qrels/test.tsv', RIGHT['qrels/test.tsv'] + '2\ta\t1\n', "judges '2', which is no query"),
    ('qrels/test.tsv', 'query-id\tcorpus-id\tscore\n1\ta\t0\n', 'no document is relevant'),
  ],
)
def test_what_is_no_beir_is_refused_with_its_place(tmp_path, path, content, words):
  (tmp_path / 'qrels').mkdir()
  for name, text in RIGHT.items():
    (tmp_path / name).write_text(text)
  asked = subject(tmp_path)
  assert retrieval.run(asked)['retrieval']['value'] == 1
  (tmp_path / path).write_text(content)
  with pytest.raises(DataError, match=words):
    retrieval.run(asked)


def test_eval_keeps_what_it_found_and_writes_what_mteb_reads(tmp_path, folder):
  loading.save(random_weights('bert'), tmp_path / 'model')
  flags = (f'--workdir={tmp_path / "model"}', f'--task_data={folder}', '--keep', '--json')
  results = tmp_path / 'results'
  answer = in_process.call(
    'eval', *flags, '--tasks=sts,retrieval,pairs,rerank', f'--results={results}'
  )
  assert answer.code in (0, None), answer.err
  found = json.loads(answer.out)['tasks']
  assert found == json.loads((tmp_path / 'model/evaluations.json').read_text())
  written = {path.stem: json.loads(path.read_text()) for path in results.iterdir()}
  # not STS12: the set has not as many pairs as the published one
  assert written.keys() == found.keys() - {'sts', 'pairs'}
  for name, result in written.items():
    [scores] = result['scores']['test']
    assert scores['main_score'] == found[name]['value'] and scores['hf_subset'] == 'default'
    assert scores['languages']  # or mteb's get_score is NaN
    assert result['dataset_revision'] == found[name]['data_sha256']
  names = {name: set(result['scores']['test'][0]) for name, result in written.items()}
  assert {'cosine_spearman', 'cosine_pearson'} <= names['sts_stsb']
  assert {'ndcg_at_10', 'mrr_at_10', 'recall_at_100', 'map_at_100'} <= names['retrieval']
  assert {'map_at_1000', 'mrr_at_10', 'ndcg_at_10'} <= names['rerank']
  assert {'cosine_ap', 'cosine_accuracy', 'cosine_f1'} <= names['pairs_dup']
  refused = in_process.call('eval', *flags, '--tasks=sts', '--task_limit=3', f'--results={results}')
  assert refused.code == 2 and 'no --task_limit' in refused.err


@pytest.mark.parametrize('there', [False, True])
def test_a_task_that_cannot_be_scored_costs_no_other_its_result(there, tmp_path, folder):
  loading.save(random_weights('bert'), tmp_path / 'model')
  (tmp_path / 'data').mkdir()
  for name in ('sts', 'sick'):
    (tmp_path / 'data' / name).symlink_to(folder / name)
  if there:
    (tmp_path / 'data/rerank.jsonl').write_text('{"query": "a"}')
  flags = (f'--workdir={tmp_path / "model"}', f'--task_data={tmp_path / "data"}')
  answer = in_process.call('eval', *flags, '--tasks=sts,rerank')
  assert answer.code == 4 and ('line 1' if there else 'no files of rerank') in answer.err
  assert ('sts_stsb' in answer.out) == there  # what is missing is said before anything is scored


def test_queries_and_documents_stand_behind_the_prompts_of_the_model(folder, tmp_path):
  """As if the prompts stood in the files of a model without any."""
  model = random_weights('bert')
  begin, end = model.frame
  said = Sentences(begin, end, 64, dict(query='the bank ', passage='a boat '), None, None, 'dot')
  asked = subject(folder)
  prompted = asked._replace(model=model._replace(sentences=said))
  texts_of = lambda path: map(json.loads, (folder / path).read_text().splitlines())
  (tmp_path / 'retrieval').mkdir()
  (tmp_path / 'retrieval/qrels').symlink_to(folder / 'retrieval/qrels')
  with (tmp_path / 'rerank.jsonl').open('w') as file:
    for one in texts_of('rerank.jsonl'):
      negative = [f'a boat {text}' for text in one['negative']]
      query, positive = f'the bank {one["query"]}', f'a boat {one["positive"]}'
      file.write(json.dumps(dict(query=query, positive=positive, negative=negative)) + '\n')
  for name, prompt in (('queries', 'the bank'), ('corpus', 'a boat')):
    with (tmp_path / f'retrieval/{name}.jsonl').open('w') as file:
      for one in texts_of(f'retrieval/{name}.jsonl'):
        text = f'{one.get("title", "")} {one["text"]}'.strip()
        file.write(json.dumps(dict(_id=one['_id'], text=f'{prompt} {text}')) + '\n')
  for task in ('retrieval', 'rerank'):
    found = tasks.TASKS[task](prompted)[task]
    written = tasks.TASKS[task](asked._replace(folder=tmp_path))[task]
    assert [found['value'], *found['other_scores'].values()] == pytest.approx(
      [written['value'], *written['other_scores'].values()], abs=1e-6
    )
    assert found['value'] != tasks.TASKS[task](asked)[task]['value']
    assert "the model's files compare by dot; here it is the cosine" in found['notes']


def test_a_set_has_the_name_of_mteb_only_if_it_is_as_large(folder):
  entry = tasks.TASKS['sts'](subject(folder))['sts_2012']
  whole = entry | dict(pairs=3108)
  assert list(leaderboard.results(dict(sts_2012=entry), 1.0)) == ['sts_2012']
  assert list(leaderboard.results(dict(sts_2012=whole), 1.0)) == ['STS12']


def test_the_claims_on_sentence_vectors_are_of_tasks_that_there_are(folder):
  claims = schema.find(measure.FOLDER, 'sentence_bert')
  found = tasks.TASKS['sts'](subject(folder))
  for claim in claims:
    name = claim.measure['name']
    assert ' --tasks=sts ' in evidence.evaluation_command(name, 'DIR', 'test', imported=True)
    assert evidence.value_in_unit(found[name], claim) == pytest.approx(100 * found[name]['value'])
    assert found[name]['split'] == claim.split
  for name in found:
    assert ' --tasks=sts ' in evidence.evaluation_command(name, 'DIR', 'test', imported=True)
