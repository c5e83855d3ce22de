"""GPT-2 small (Radford et al. 2019, table 2, "117M"): 12 layers, width 768, 12 heads; CLM.

The shape is the paper's. The paper does not publish its optimiser settings, so the recipe is that
of nanoGPT's reproduction: AdamW at 6e-4 with a cosine to 6e-5, 600,000 steps of 480 x 1,024 tokens,
no dropout.

Source:     openai/gpt-2 (model.py), paper 2.3; karpathy/nanoGPT (config/train_gpt2.py)
Parameters: 124,439,808
Expected:   validation loss about 2.85 on OpenWebText (nanoGPT); WikiText-103 perplexity 37.50
            zero-shot (paper)
Time:       not trained here; four days on eight A100 in nanoGPT
Command:    python train.py --config=configs/gpt2_small.py:corpus=openwebtext

Without the argument it trains on the small default corpus, which cannot reach these numbers.
"""

from configs import base


def get_config(arg: str = ''):
  config = base.get_config()
  config.name = 'gpt2_small'
  config.steps = 600_000
  config.batch_size = 480
  config.mask = 'causal'
  config.objectives = dict(clm=1.0)
  config.data.tokenizer = 'bpe'
  config.data.lowercase = False
  config.data.sequence_length = 1_024

  config.model.vocab_size = 50_257
  config.model.max_length = 1_024
  config.model.segment_types = 0
  config.model.norm_position = 'pre'
  config.model.norm_epsilon = 1e-5
  config.model.embedding_norm = False
  config.model.final_norm = True
  config.model.activation = 'gelu_tanh'
  config.model.init_truncated = False
  config.model.init_depth_scaled = True
  config.model.dropout = 0.0
  config.model.attention_dropout = 0.0

  config.optimizer.learning_rate = 6e-4
  config.optimizer.schedule = 'cosine'
  config.optimizer.warmup_steps = 2_000
  config.optimizer.final_share = 0.1
  config.optimizer.beta2 = 0.95
  config.optimizer.epsilon = 1e-8
  config.optimizer.bias_correction = True
  config.optimizer.weight_decay = 0.1

  config.validation.every = 1_000
  config.checkpoint.every = 1_000
  config.log.every = 10
  return base.with_arguments(config, arg)
