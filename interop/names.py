"""Hugging Face's name of each parameter: one table per model family.

Keys are paths of our parameters. `MODULE/*` stands for all parameters of a module: our kernel (or
scale) is their weight, our bias their bias. `{}` is the layer's number. `@i/n` is the i-th of n
equal parts of one stored tensor, as in GPT-2's fused query, key and value. A path without `*` is
the same array on both sides.
"""

_HEADS = ('mlm/', 'pool/', 'sequence/', 'tokens/', 'span/')

BERT = {
  'embeddings/token': 'embeddings.word_embeddings.weight',
  'embeddings/position': 'embeddings.position_embeddings.weight',
  'embeddings/type': 'embeddings.token_type_embeddings.weight',
  'embeddings/norm/*': 'embeddings.LayerNorm',
  'trunk/blocks/attention/query/*': 'encoder.layer.{}.attention.self.query',
  'trunk/blocks/attention/key/*': 'encoder.layer.{}.attention.self.key',
  'trunk/blocks/attention/value/*': 'encoder.layer.{}.attention.self.value',
  'trunk/blocks/attention/output/*': 'encoder.layer.{}.attention.output.dense',
  'trunk/blocks/attention_norm/*': 'encoder.layer.{}.attention.output.LayerNorm',
  'trunk/blocks/feed_forward/up/*': 'encoder.layer.{}.intermediate.dense',
  'trunk/blocks/feed_forward/down/*': 'encoder.layer.{}.output.dense',
  'trunk/blocks/feed_forward_norm/*': 'encoder.layer.{}.output.LayerNorm',
  'mlm/transform/*': 'cls.predictions.transform.dense',
  'mlm/norm/*': 'cls.predictions.transform.LayerNorm',
  'mlm/bias': 'cls.predictions.bias',
  'mlm/kernel': 'cls.predictions.decoder.weight',
  'nsp/pooler/*': 'pooler.dense',
  'nsp/classifier/*': 'cls.seq_relationship',
  'pool/dense/*': 'pooler.dense',
  'sequence/pooler/*': 'pooler.dense',
  'sequence/classifier/*': 'classifier',
  'tokens/classifier/*': 'classifier',
  'span/classifier/*': 'qa_outputs',
}

ROBERTA = BERT | {
  'sequence/pooler/*': 'classifier.dense',
  'sequence/classifier/*': 'classifier.out_proj',
  'mlm/transform/*': 'lm_head.dense',
  'mlm/norm/*': 'lm_head.layer_norm',
  'mlm/bias': 'lm_head.bias',
  'mlm/kernel': 'lm_head.decoder.weight',
}

# RobertaForMultipleChoice has BERT's pooler and classifier.
ROBERTA_CHOICES = {path: name for path, name in BERT.items() if path.startswith('sequence/')}

# RoBERTa with rotary positions. These are the names in its files, which transformers renames.
_ROTARY_LAYER = 'encoder.layers.{}'
ROTARY_ROBERTA = {
  'embeddings/token': 'embeddings.word_embeddings.weight',
  'embeddings/type': 'embeddings.token_type_embeddings.weight',
  'embeddings/norm/*': 'emb_ln',
  'trunk/blocks/attention/query/*': f'{_ROTARY_LAYER}.mixer.Wqkv@0/3',
  'trunk/blocks/attention/key/*': f'{_ROTARY_LAYER}.mixer.Wqkv@1/3',
  'trunk/blocks/attention/value/*': f'{_ROTARY_LAYER}.mixer.Wqkv@2/3',
  'trunk/blocks/attention/output/*': f'{_ROTARY_LAYER}.mixer.out_proj',
  'trunk/blocks/attention_norm/*': f'{_ROTARY_LAYER}.norm1',
  'trunk/blocks/feed_forward/up/*': f'{_ROTARY_LAYER}.mlp.fc1',
  'trunk/blocks/feed_forward/down/*': f'{_ROTARY_LAYER}.mlp.fc2',
  'trunk/blocks/feed_forward_norm/*': f'{_ROTARY_LAYER}.norm2',
} | {path: name for path, name in ROBERTA.items() if path.startswith(_HEADS)}

DISTILBERT = {
  'embeddings/token': 'embeddings.word_embeddings.weight',
  'embeddings/position': 'embeddings.position_embeddings.weight',
  'embeddings/norm/*': 'embeddings.LayerNorm',
  'trunk/blocks/attention/query/*': 'transformer.layer.{}.attention.q_lin',
  'trunk/blocks/attention/key/*': 'transformer.layer.{}.attention.k_lin',
  'trunk/blocks/attention/value/*': 'transformer.layer.{}.attention.v_lin',
  'trunk/blocks/attention/output/*': 'transformer.layer.{}.attention.out_lin',
  'trunk/blocks/attention_norm/*': 'transformer.layer.{}.sa_layer_norm',
  'trunk/blocks/feed_forward/up/*': 'transformer.layer.{}.ffn.lin1',
  'trunk/blocks/feed_forward/down/*': 'transformer.layer.{}.ffn.lin2',
  'trunk/blocks/feed_forward_norm/*': 'transformer.layer.{}.output_layer_norm',
  'mlm/transform/*': 'vocab_transform',
  'mlm/norm/*': 'vocab_layer_norm',
  'mlm/bias': 'vocab_projector.bias',
  'mlm/kernel': 'vocab_projector.weight',
  'sequence/pooler/*': 'pre_classifier',
  'sequence/classifier/*': 'classifier',
  'tokens/classifier/*': 'classifier',
  'span/classifier/*': 'qa_outputs',
}

_ALBERT_LAYER = 'encoder.albert_layer_groups.0.albert_layers.0'
ALBERT = {
  'embeddings/token': 'embeddings.word_embeddings.weight',
  'embeddings/position': 'embeddings.position_embeddings.weight',
  'embeddings/type': 'embeddings.token_type_embeddings.weight',
  'embeddings/norm/*': 'embeddings.LayerNorm',
  'embeddings/projection/*': 'encoder.embedding_hidden_mapping_in',
  'trunk/blocks/attention/query/*': f'{_ALBERT_LAYER}.attention.query',
  'trunk/blocks/attention/key/*': f'{_ALBERT_LAYER}.attention.key',
  'trunk/blocks/attention/value/*': f'{_ALBERT_LAYER}.attention.value',
  'trunk/blocks/attention/output/*': f'{_ALBERT_LAYER}.attention.dense',
  'trunk/blocks/attention_norm/*': f'{_ALBERT_LAYER}.attention.LayerNorm',
  'trunk/blocks/feed_forward/up/*': f'{_ALBERT_LAYER}.ffn',
  'trunk/blocks/feed_forward/down/*': f'{_ALBERT_LAYER}.ffn_output',
  'trunk/blocks/feed_forward_norm/*': f'{_ALBERT_LAYER}.full_layer_layer_norm',
  'mlm/transform/*': 'predictions.dense',
  'mlm/norm/*': 'predictions.LayerNorm',
  'mlm/bias': 'predictions.bias',
  'mlm/kernel': 'predictions.decoder.weight',
  'nsp/pooler/*': 'pooler',
  'nsp/classifier/*': 'sop_classifier.classifier',
  'pool/dense/*': 'pooler',
  'sequence/pooler/*': 'pooler',
  'sequence/classifier/*': 'classifier',
  'tokens/classifier/*': 'classifier',
  'span/classifier/*': 'qa_outputs',
}

GPT2 = {
  'embeddings/token': 'wte.weight',
  'embeddings/position': 'wpe.weight',
  'trunk/blocks/attention_norm/*': 'h.{}.ln_1',
  'trunk/blocks/attention/query/*': 'h.{}.attn.c_attn@0/3',
  'trunk/blocks/attention/key/*': 'h.{}.attn.c_attn@1/3',
  'trunk/blocks/attention/value/*': 'h.{}.attn.c_attn@2/3',
  'trunk/blocks/attention/output/*': 'h.{}.attn.c_proj',
  'trunk/blocks/feed_forward_norm/*': 'h.{}.ln_2',
  'trunk/blocks/feed_forward/up/*': 'h.{}.mlp.c_fc',
  'trunk/blocks/feed_forward/down/*': 'h.{}.mlp.c_proj',
  'trunk/final_norm/*': 'ln_f',
  'clm/kernel': 'lm_head.weight',
  'sequence/classifier/*': 'score',
  'tokens/classifier/*': 'classifier',
  'span/classifier/*': 'qa_outputs',
}

LLAMA = {
  'embeddings/token': 'embed_tokens.weight',
  'trunk/blocks/attention_norm/*': 'layers.{}.input_layernorm',
  'trunk/blocks/attention/query/*': 'layers.{}.self_attn.q_proj',
  'trunk/blocks/attention/key/*': 'layers.{}.self_attn.k_proj',
  'trunk/blocks/attention/value/*': 'layers.{}.self_attn.v_proj',
  'trunk/blocks/attention/output/*': 'layers.{}.self_attn.o_proj',
  'trunk/blocks/feed_forward_norm/*': 'layers.{}.post_attention_layernorm',
  'trunk/blocks/feed_forward/gate/*': 'layers.{}.mlp.gate_proj',
  'trunk/blocks/feed_forward/up/*': 'layers.{}.mlp.up_proj',
  'trunk/blocks/feed_forward/down/*': 'layers.{}.mlp.down_proj',
  'trunk/final_norm/*': 'norm',
  'clm/kernel': 'lm_head.weight',
  'sequence/classifier/*': 'score',
  'tokens/classifier/*': 'score',
  'span/classifier/*': 'qa_outputs',
}

MODERNBERT = {
  'embeddings/token': 'embeddings.tok_embeddings.weight',
  'embeddings/norm/*': 'embeddings.norm',
  'trunk/blocks/attention_norm/*': 'layers.{}.attn_norm',
  'trunk/blocks/attention/query/*': 'layers.{}.attn.Wqkv@0/3',
  'trunk/blocks/attention/key/*': 'layers.{}.attn.Wqkv@1/3',
  'trunk/blocks/attention/value/*': 'layers.{}.attn.Wqkv@2/3',
  'trunk/blocks/attention/output/*': 'layers.{}.attn.Wo',
  'trunk/blocks/feed_forward_norm/*': 'layers.{}.mlp_norm',
  'trunk/blocks/feed_forward/gate/*': 'layers.{}.mlp.Wi@0/2',
  'trunk/blocks/feed_forward/up/*': 'layers.{}.mlp.Wi@1/2',
  'trunk/blocks/feed_forward/down/*': 'layers.{}.mlp.Wo',
  'trunk/final_norm/*': 'final_norm',
  'mlm/transform/*': 'head.dense',
  'mlm/norm/*': 'head.norm',
  'mlm/bias': 'decoder.bias',
  'mlm/kernel': 'decoder.weight',
  'sequence/pooler/*': 'head.dense',
  'sequence/norm/*': 'head.norm',
  'sequence/classifier/*': 'classifier',
  'tokens/pooler/*': 'head.dense',
  'tokens/norm/*': 'head.norm',
  'tokens/classifier/*': 'classifier',
  'span/pooler/*': 'head.dense',
  'span/norm/*': 'head.norm',
  'span/classifier/*': 'classifier',
}

_OF_TOKENS = ('tokens/', 'span/')
MODERNBERT_DECODER = {
  path: name for path, name in MODERNBERT.items() if not path.startswith(_OF_TOKENS)
} | {
  'trunk/blocks/attention/query/*': 'layers.{}.attn.q_proj',
  'trunk/blocks/attention/key/*': 'layers.{}.attn.k_proj',
  'trunk/blocks/attention/value/*': 'layers.{}.attn.v_proj',
  'mlm/transform/*': 'lm_head.dense',
  'mlm/norm/*': 'lm_head.norm',
}

ELECTRA = {
  path: name for path, name in BERT.items() if path.startswith(('embeddings/', 'trunk/'))
} | {
  'embeddings/projection/*': 'embeddings_project',
  'mlm/transform/*': 'generator_predictions.dense',
  'mlm/norm/*': 'generator_predictions.LayerNorm',
  'mlm/bias': 'generator_lm_head.bias',
  'mlm/kernel': 'generator_lm_head.weight',
  'replaced/dense/*': 'discriminator_predictions.dense',
  'replaced/classifier/*': 'discriminator_predictions.dense_prediction',
  'sequence/pooler/*': 'classifier.dense',
  'sequence/classifier/*': 'classifier.out_proj',
  'tokens/classifier/*': 'classifier',
  'span/classifier/*': 'qa_outputs',
}

GPT = {
  'embeddings/token': 'tokens_embed.weight',
  'embeddings/position': 'positions_embed.weight',
  'clm/kernel': 'lm_head.weight',
  'sequence/classifier/*': 'score',
} | {path: name for path, name in GPT2.items() if path.startswith('trunk/blocks/')}

EUROBERT = {
  path: name for path, name in LLAMA.items() if path.startswith(('embeddings/', 'trunk/'))
} | {'mlm/kernel': 'lm_head.weight', 'tokens/classifier/*': 'classifier'}
