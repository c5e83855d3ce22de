"""The examples of a labelled task under a run's parameters: scores, and what is said of each."""

from collections.abc import Iterator

from evaluation import examples, questions
from parallel import sharding
from runtime import distributed, storage
from training import label_figure
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
      self._threshold = 0.0 if null else None

  def scores(self, split: str, state: State) -> dict[str, float]:
    """{name: score} of a split, with the losses; nothing if a stop is requested in between."""
    stopping = self._session.consensus.ask
    said = self._said(state, split, stopping)
    return {} if self._session.consensus.stopping else self._scores(split, said)

  def _said(self, state: State, split: str, stopping=lambda: False) -> examples.Said:
    prepared = self._session.experiment.prepared
    return self._examine(scored_params(state), self._batches(split, stopping), prepared, split)

  def _scores(self, split: str, said: examples.Said) -> dict[str, float]:
    found = examples.score(self._task, split, said.predicted, self._threshold)
    if not found:  # nobody knows the labels of this split
      return {}
    losses = {name: value for name, value in said.terms.items() if name.endswith('_loss')}
    return dict(loss=said.loss) | losses | found

  def __call__(self, state: State) -> dict:
    """What result.json has of the task: scores of the splits, and baselines.

    predictions_SPLIT.jsonl has a line an example.
    """
    session, task = self._session, self._task
    with session.clock.set_aside('testing'):
      scored, baselines = {}, {}
      for split in [name for name in task.splits if name != 'train']:
        session.console.status(f'scoring the {split} split')
        said = self._said(state, split)
        if split == 'validation' and self._threshold is not None:
          self._keep_threshold(said)
        scored[split] = self._scores(split, said)
        baselines[split] = examples.baseline(task, split)
        lines = ''.join(examples.json_lines(task, split, said, self._threshold))
        path = session.directory / f'predictions_{split}.jsonl'
        distributed.from_first(lambda path=path, lines=lines: storage.write(path, lines))
      if distributed.index() == 0:
        label_figure.draw(session.directory, task, split, said)
    null = {} if self._threshold is None else dict(null_threshold=self._threshold)
    return dict(
      **scored,
      **null,
      metric=examples.headline(task),
      majority=baselines,
      classes=list(task.classes),
      cut_examples={split: session.experiment.prepared.report[split]['cut'] for split in scored},
    )

  @property
  def _task(self):
    return self._session.experiment.prepared.task

  def _keep_threshold(self, said: examples.Said):
    """Chooses by how much no answer must lead to be said, and keeps it with the labels."""
    session = self._session
    self._threshold = questions.choose_threshold(self._task, 'validation', said.predicted)
    labels = session.experiment.describe_labels() | dict(null_threshold=self._threshold)
    distributed.from_first(lambda: storage.write_json(session.directory / 'labels.json', labels))

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
