"""The peer's side: python -m tools.bench_peer NAME FOLDER. The only file that imports torch; extra `parity`."""

from pathlib import Path
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from tools.bench_cases import CASES, Generate, serve


def generate(case: Generate, folder: Path):
  """One round of transformers' own `generate` on the weights that our side left."""
  model = AutoModelForCausalLM.from_pretrained(folder / 'weights', dtype=torch.float32, attn_implementation='sdpa')
  ids = np.random.default_rng(0).integers(0, model.config.vocab_size, (case.rows, case.prompt), np.int32)
  prompt = torch.from_numpy(ids.astype(np.int64))
  asked = dict(attention_mask=torch.ones_like(prompt), max_new_tokens=case.new, min_new_tokens=case.new,
               do_sample=False, pad_token_id=0)

  def round_():
    with torch.inference_mode():
      assert model.eval().generate(prompt, **asked).shape[1] == case.prompt + case.new

  return round_, {}


if __name__ == '__main__':
  serve(*generate(CASES[sys.argv[1]], Path(sys.argv[2])))
