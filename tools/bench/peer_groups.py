"""The peer of training on pairs of sentences, sentence-transformers: a worker of tools.bench.

It needs the extra `parity`.
"""

from collections.abc import Callable
import json
import math
from pathlib import Path
import sys

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from sentence_transformers.sentence_transformer import losses
import torch

from runtime import allocator
from tools.bench.cases import CASES
from tools.bench.kinds import Groups
from tools.bench.worker import serve


def train(case: Groups, folder: Path) -> Callable[[], dict]:
  """A function that does a round of steps on the pairs that our side left, in its order."""
  allocator.disable_malloc_trim()  # as on our side
  folder = folder / str(case.rows)
  transformer = Transformer(str(folder / 'weights'), max_seq_length=case.T)
  pooling = Pooling(transformer.get_embedding_dimension(), 'mean')
  model = SentenceTransformer(modules=[transformer, pooling], device='cpu')
  loss = _loss(case, model).train()
  rows = [json.loads(line) for line in (folder / 'train.jsonl').open()]
  texts, labels = _columns(rows)
  optimizer = torch.optim.AdamW(loss.parameters(), lr=5e-5, weight_decay=0.01, fused=True)

  def round_():
    for start in range(0, len(rows), case.rows):
      stop = start + case.rows
      features = [model.preprocess(column[start:stop]) for column in texts]
      value = loss(features, None if labels is None else labels[start:stop])
      value.backward()
      torch.nn.utils.clip_grad_norm_(loss.parameters(), 1.0, foreach=True)
      optimizer.step()
      optimizer.zero_grad(set_to_none=True)
    assert math.isfinite(value.item())
    return dict(work=len(rows))

  return round_


def _loss(case: Groups, model: SentenceTransformer) -> torch.nn.Module:
  """The loss of an objective, with the memory of a micro-batch where there are several."""
  if case.objective == 'nli':
    return losses.SoftmaxLoss(model, model.get_embedding_dimension(), 3)
  if case.objective == 'cosent':
    return losses.CoSENTLoss(model)
  if case.micro < case.rows:
    return losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=case.micro)
  return losses.MultipleNegativesRankingLoss(model)


def _columns(rows: list[dict]) -> tuple[list[list[str]], torch.Tensor | None]:
  """(the texts of each column, what the loss reads beside them)."""
  first, second, *label = rows[0]
  texts = [[row[name] for row in rows] for name in (first, second)]
  if not label:
    return texts, None
  values = [row[label[0]] for row in rows]
  if label[0] == 'score':
    return texts, torch.tensor(values, dtype=torch.float32)
  classes = sorted(set(values))
  return texts, torch.tensor([classes.index(value) for value in values])


if __name__ == '__main__':
  serve(train(CASES[sys.argv[2]], Path(sys.argv[3])), {})
