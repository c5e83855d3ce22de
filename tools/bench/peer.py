"""The peer's side, transformers: a worker of tools.bench.

The only file that imports torch; it needs the extra `parity`.
"""

from collections.abc import Callable
import json
from pathlib import Path
import sys
import time

import numpy as np
import torch
from transformers import (
  AutoModelForCausalLM,
  BertConfig,
  BertForMaskedLM,
  GPT2Config,
  GPT2LMHeadModel,
)

from runtime import allocator
from tools.bench.cases import CASES
from tools.bench.kinds import Generate, Train
from tools.bench.worker import serve

IGNORED = -100  # label of a position that is not predicted


def generate(case: Generate, folder: Path) -> tuple[Callable[[], dict], dict]:
  """Loads the weights that our side left in `folder`.

  Returns:
    A function that does a round of transformers' own `generate`, and no facts.
  """
  model = AutoModelForCausalLM.from_pretrained(
    folder / 'weights', dtype=torch.float32, attn_implementation='sdpa'
  )
  ids = np.random.default_rng(0).integers(
    0, model.config.vocab_size, (case.rows, case.prompt), np.int32
  )
  prompt = torch.from_numpy(ids.astype(np.int64))
  options = dict(
    attention_mask=torch.ones_like(prompt),
    max_new_tokens=case.new,
    min_new_tokens=case.new,
    do_sample=False,
    pad_token_id=0,
  )

  def round_():
    with torch.inference_mode():
      assert model.eval().generate(prompt, **options).shape[1] == case.prompt + case.new
    return dict(work=case.rows * case.new)

  return round_, {}


def train(case: Train, folder: Path) -> tuple[Callable[[], dict], dict]:
  """Tries eager and compiled steps, and chooses the faster ones.

  Returns:
    A function that does a round of steps, and facts: the way that was chosen, seconds of each way,
    the error of a way that failed, the share of tokens that are no padding.
  """
  allocator.disable_malloc_trim()  # as on our side
  shapes = json.loads((folder / 'shapes.json').read_text())
  batches = _batches(case, folder, shapes)
  model = _model(case, shapes['model']).to(case.device).train()
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
  half = shapes['model']['dtype'] == 'bfloat16'

  def steps(apply: Callable, count: int | None = None):
    for batch in batches[:count]:
      with torch.autocast(case.device, torch.bfloat16, enabled=half):
        loss = apply(**batch).loss
      loss.backward()
      torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
      optimizer.step()
      optimizer.zero_grad(set_to_none=True)
    assert torch.isfinite(loss).item()

  ways, seconds, failed = dict(eager=model, compiled=torch.compile(model)), {}, {}
  for name, apply in ways.items():
    try:
      steps(apply)  # the first one compiles, or fills caches
      seconds[name] = min(_time(steps, apply) for _ in range(2))
    except Exception as error:
      # Whatever the compiler cannot do, the other way is measured.
      failed[name] = str(error).strip().splitlines()[0]
  best = min(seconds, key=seconds.get)
  useful = sum(map(_useful_tokens, batches))
  tokens = sum(batch['input_ids'].numel() for batch in batches)

  def round_():
    steps(ways[best], 1)  # as on our side
    return dict(work=useful, tokens=tokens, seconds=_time(steps, ways[best]))

  return round_, dict(way=best, ways=seconds, failed=failed, useful_share=useful / tokens)


def _useful_tokens(batch: dict[str, torch.Tensor]) -> int:
  """Tokens that are no padding."""
  if 'attention_mask' in batch:
    return int(batch['attention_mask'].sum())
  return batch['input_ids'].numel()


def _time(f: Callable, *arguments) -> float:
  started = time.perf_counter()
  f(*arguments)
  return time.perf_counter() - started


def _model(case: Train, shape: dict) -> torch.nn.Module:
  """A network of transformers with our shape and sdpa attention. `shape`: our config's model."""
  if case.objective == 'clm':
    config = GPT2Config(
      vocab_size=shape['vocab_size'],
      n_positions=shape['max_length'],
      n_embd=shape['width'],
      n_layer=shape['layers'],
      n_head=shape['heads'],
      n_inner=shape['feed_forward'],
      resid_pdrop=shape['dropout'],
      embd_pdrop=shape['dropout'],
      attn_pdrop=shape['attention_dropout'],
      use_cache=False,
    )
    return GPT2LMHeadModel._from_config(config, attn_implementation='sdpa')
  config = BertConfig(
    vocab_size=shape['vocab_size'],
    max_position_embeddings=shape['max_length'],
    hidden_size=shape['width'],
    num_hidden_layers=shape['layers'],
    num_attention_heads=shape['heads'],
    intermediate_size=shape['feed_forward'],
    hidden_dropout_prob=shape['dropout'],
    attention_probs_dropout_prob=shape['attention_dropout'],
  )
  return BertForMaskedLM._from_config(config, attn_implementation='sdpa')


def _batches(case: Train, folder: Path, shapes: dict) -> list[dict[str, torch.Tensor]]:
  """Full rows without an attention mask, or documents padded to the longest of their batch."""
  random = np.random.default_rng(0)
  if not case.corpus:
    documents = list(random.integers(5, shapes['V'], (case.rows * case.steps, case.T)))
  else:
    saved = np.load(folder / 'documents.npz')
    documents = np.split(saved['token'], np.cumsum(saved['length'])[:-1])
  batches = []
  for start in range(0, len(documents), case.rows):
    some = documents[start : start + case.rows]
    token = np.zeros((len(some), max(map(len, some))), np.int64)
    mask = np.zeros_like(token)
    for row, document in enumerate(some):
      token[row, : len(document)], mask[row, : len(document)] = document, 1
    label = token.copy()
    if case.objective == 'mlm':
      label[:] = IGNORED
      for row, document in enumerate(some):
        count = max(1, round(shapes['P'] / case.T * len(document)))
        masked = random.permutation(len(document))[:count]
        label[row, masked] = token[row, masked]
    batch = dict(input_ids=token, labels=label) | (dict(attention_mask=mask) if case.corpus else {})
    batches.append({name: torch.from_numpy(array).to(case.device) for name, array in batch.items()})
  return batches


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  prepare = train if isinstance(chosen, Train) else generate
  serve(*prepare(chosen, Path(sys.argv[3])))
