"""The peer's side of vectors of lines, sentence-transformers: a worker of tools.bench.

It needs the extra `parity`.
"""

from collections.abc import Callable
import json
from pathlib import Path
import sys

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer

from tools.bench.worker import serve


def embed(folder: Path) -> Callable[[], dict]:
  """A function that does a round on the lines that our side left, 32 at once as by default."""
  asked = json.loads((folder / 'embed.json').read_text())
  if (Path(asked['weights']) / 'modules.json').exists():
    model = SentenceTransformer(asked['weights'], device='cpu')
  else:
    transformer = Transformer(asked['weights'])
    pooling = Pooling(transformer.get_embedding_dimension(), 'mean')
    model = SentenceTransformer(modules=[transformer, pooling], device='cpu')

  def round_():
    vectors = model.encode(asked['lines'], normalize_embeddings=True, show_progress_bar=False)
    assert len(vectors) == len(asked['lines'])
    return dict(work=len(vectors))

  return round_


if __name__ == '__main__':
  serve(embed(Path(sys.argv[3])), {})
