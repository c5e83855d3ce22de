"""What mteb writes of a task: one JSON object each, which its TaskResult reads.

The revision of the data is the SHA-256 that is in evaluations.json, and there is no version of
mteb, which did not run. A set has mteb's name if it has as many pairs as mteb's.
"""

from data.tasks.sts import PUBLISHED
from evaluation.vectors import pairs, rerank, retrieval, sts

# A name in evaluations.json -> mteb's. Not SICK-R: mteb's has the train and trial pairs as well.
_TASKS = {f'sts_{year}': f'STS{year[2:]}' for year in PUBLISHED if year.isdigit()}
_TASKS |= dict(sts_stsb='STSBenchmark')
_OF_A_COSINE = (sts.METRIC, pairs.METRIC)
_RENAMED = dict(map='map_at_1000')  # of all texts of a query, which are fewer
_METRICS = (*_OF_A_COSINE, retrieval.METRIC, rerank.METRIC)


def results(found: dict[str, dict], seconds: float) -> dict[str, dict]:
  """{name of a task: what mteb would have written}, of the entries that are of sentence vectors.

  A mean of several tasks is none of mteb's.
  """
  whole = {f'sts_{name}': pairs for name, pairs in PUBLISHED.items()}
  written = {}
  for name, entry in found.items():
    if entry.get('metric') in _METRICS and 'mean_of' not in entry:
      known = name in whole and entry['pairs'] == whole[name]
      task = _TASKS[name] if known else name
      # without any language mteb averages over nothing; und is that of nobody knows which
      language = 'eng-Latn' if entry['metric'] == sts.METRIC else 'und-Zzzz'
      written[task] = _result(task, entry, [language], seconds)
  return written


def _result(task: str, entry: dict, languages: list[str], seconds: float) -> dict:
  scores = {entry['metric']: entry['value']} | entry['other_scores']
  before = 'cosine_' if entry['metric'] in _OF_A_COSINE else ''
  named = {
    _RENAMED.get(name, before + name.replace('@', '_at_')): value for name, value in scores.items()
  }
  more = dict(main_score=entry['value'], hf_subset='default', languages=languages)
  return dict(
    dataset_revision=entry['data_sha256'],
    task_name=task,
    mteb_version=None,
    scores=dict(test=[named | more]),
    evaluation_time=seconds,
    kg_co2_emissions=None,
  )
