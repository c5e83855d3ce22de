"""The examples of a labelled task under a run's parameters: scores, and what is said of each."""

from collections.abc import Iterator

from evaluation import examples, questions
from parallel import sharding
from runtime import distributed, storage
from training import label_figure, stacked
from training.session import Session
from training.state import State, scored_params


class Examine:
  """Scores splits of the task; called at the end, also leaves what is said of every example."""

  def __init__(self, session: Session):
    self._session = session
    if session.experiment.labelled:
      cell = session.experiment.cells[session.experiment.main]
      self._examine = examples.make_examiner(
        cell.apply,
        cell.held_out,
        shard=lambda batch: sharding.shard_batch(batch, session.mesh),
        to_host=sharding.to_host,
        n_best=session.config.finetune.n_best,
        longest_answer=session.config.finetune.longest_answer,
      )
      null = self._task.kind == 'question' and questions.may_be_null(self._task)
      self._seeds = stacked.numbers(session.config)
      self._thresholds = [0.0 if null else None] * len(self._seeds)

  def scores(self, split: str, state: State) -> list[dict[str, float]]:
    """{name: score} of a split, of each seed, with losses; [] if a stop is requested meanwhile."""
    consensus = self._session.consensus
    said = self._said(state, split, consensus.ask)
    return [] if consensus.stopping else self._scores(split, said)

  def _said(self, state: State, split: str, stopping=lambda: False) -> list[examples.Said]:
    """What each seed says of a split."""
    params, prepared = scored_params(state), self._session.experiment.prepared
    own = [params]
    if len(self._seeds) > 1:
      own = (stacked.one_of(params, index) for index in range(len(self._seeds)))
    return [self._examine(each, self._batches(split, stopping), prepared, split) for each in own]

  def _scores(self, split: str, said: list[examples.Said]) -> list[dict[str, float]]:
    return [self._scores_of(split, *each) for each in zip(said, self._thresholds)]

  def _scores_of(
    self, split: str, said: examples.Said, threshold: float | None
  ) -> dict[str, float]:
    found = examples.score(self._task, split, said.predicted, threshold)
    if not found:  # nobody knows the labels of this split
      return {}
    losses = {name: value for name, value in said.terms.items() if name.endswith('_loss')}
    return dict(loss=said.loss) | losses | found

  def __call__(self, state: State) -> dict:
    """What result.json has of the task: scores of the splits, and baselines.

    Of several seeds the scores are those of the best one on the validation split, as are
    labels.json, labels.png and predictions_SPLIT.jsonl, which has a line an example; `seeds` has
    all of them.
    """
    session, task = self._session, self._task
    splits = ['validation', *(name for name in task.splits if name not in ('train', 'validation'))]
    metric = examples.headline(task)
    scored, baselines, best = {}, {}, 0
    with session.clock.set_aside('testing'):
      for split in splits:
        session.console.status(f'scoring the {split} split')
        said = self._said(state, split)
        if split == 'validation':
          self._choose_thresholds(said)
        scored[split] = self._scores(split, said)
        baselines[split] = examples.baseline(task, split)
        if split == 'validation':
          best = stacked.best_of([each[metric] for each in scored[split]])
          self._keep_labels(best)
        self._keep_predictions(split, said[best], self._thresholds[best])
      if distributed.index() == 0:
        label_figure.draw(session.directory, task, split, said[best])
    null = self._thresholds[best]
    return dict(
      **{split: found[best] for split, found in scored.items()},
      **({} if null is None else dict(null_threshold=null)),
      metric=metric,
      seeds=stacked.summary(scored, self._seeds, metric, baselines['validation'][metric]),
      majority=baselines,
      classes=list(task.classes),
      cut_examples={split: session.experiment.prepared.report[split]['cut'] for split in scored},
    )

  def _choose_thresholds(self, said: list[examples.Said]):
    """Chooses by how much no answer must lead to be said, on the validation split."""
    if self._thresholds[0] is not None:
      task = self._task
      chosen = [questions.choose_threshold(task, 'validation', each.predicted) for each in said]
      self._thresholds = chosen

  def _keep_labels(self, best: int):
    """Keeps with the labels what was chosen on the validation split."""
    session, null = self._session, self._thresholds[best]
    chosen = {} if null is None else dict(null_threshold=null)
    if len(self._seeds) > 1:
      chosen |= dict(seed=self._seeds[best])
    if chosen:
      labels = session.experiment.describe_labels() | chosen
      distributed.from_first(lambda: storage.write_json(session.directory / 'labels.json', labels))

  def _keep_predictions(self, split: str, said: examples.Said, threshold: float | None):
    """Leaves what is said of each example of a split."""
    lines = ''.join(examples.json_lines(self._task, split, said, threshold))
    path = self._session.directory / f'predictions_{split}.jsonl'
    distributed.from_first(lambda: storage.write(path, lines))

  @property
  def _task(self):
    return self._session.experiment.prepared.task

  def _batches(self, split: str, stopping) -> Iterator[dict]:
    """The whole split, until a stop is requested."""
    session = self._session
    size = sharding.round_up(session.config.validation.batch_size, session.mesh)
    batches = session.experiment.validation(
      size,
      rows_of=lambda rows: sharding.rows_here(session.mesh, rows),
      multiple=sharding.row_parts(session.mesh),
      split=split,
    )
    for index in range(len(batches)):
      session.watchdog.now(f'scoring {split}, batch {index + 1:,}', patient=True)
      if stopping():
        return
      session.console.substep(index + 1, len(batches), f'batches of the {split} split')
      yield batches[index]
