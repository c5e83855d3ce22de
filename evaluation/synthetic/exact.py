"""Exact inference in a synthetic language: the posterior of each word given the visible words.

A language is a hidden Markov model of W words and Z states. For a causal model the posterior is
filtering (the forward pass), for a bidirectional one smoothing (forward and backward). Masked words
are summed over.
"""

import numpy as np

from data.corpora.synthetic import Language


def posterior(
  language: Language, word_NxT: np.ndarray, visible_NxT: np.ndarray, *, two_sided: bool
) -> np.ndarray:
  """Returns p(word t | the other visible words), NxTxW, for every t, masked or not.

  Args:
    word_NxT: each word's number in the language.
    visible_NxT: bool; words that are not masked. Word t itself is never used for t.
    two_sided: condition on words on both sides; else on those to the left alone.
  """
  N, T = word_NxT.shape
  W, Z, _ = language.step_WxZxZ.shape
  hope_TxZ = language.hope_TxZ()
  # A masked word is word number W, which stands for any word: its step is the sum of theirs.
  step_WxZxZ = np.concatenate([language.step_WxZxZ, language.step_WxZxZ.sum(axis=0, keepdims=True)])
  seen_NxT = np.where(visible_NxT, word_NxT, W)
  forward_ZxWZ = step_WxZxZ.transpose(1, 0, 2).reshape(Z, -1)
  backward_ZxWZ = step_WxZxZ.transpose(2, 0, 1).reshape(Z, -1)

  # p(what is visible from word t on, a proper end | state), scaled
  right_TxNxZ = np.empty((T + 1, N, Z))
  right_TxNxZ[T] = hope_TxZ[T]
  for t in range(T - 1, 0, -1):
    before_NxWxZ = (right_TxNxZ[t + 1] @ backward_ZxWZ).reshape(N, W + 1, Z)
    right_TxNxZ[t] = (
      _scaled(before_NxWxZ[np.arange(N), seen_NxT[:, t]]) if two_sided else hope_TxZ[t]
    )
  # p(state before word t, what is visible before it), scaled
  left_NxZ = np.tile(language.start_Z, (N, 1))
  posterior_NxTxW = np.empty((N, T, W))
  for t in range(T):
    after_NxWxZ = (left_NxZ @ forward_ZxWZ).reshape(N, W + 1, Z)
    posterior_NxTxW[:, t] = _scaled((after_NxWxZ[:, :W] * right_TxNxZ[t + 1][:, None]).sum(axis=2))
    left_NxZ = _scaled(after_NxWxZ[np.arange(N), seen_NxT[:, t]])
  return posterior_NxTxW


def nats(posterior_NxTxW: np.ndarray, word_NxT: np.ndarray) -> np.ndarray:
  """Returns the cross-entropy of each word under the posterior, NxT, nats."""
  return -np.log(np.take_along_axis(posterior_NxTxW, word_NxT[:, :, None], axis=2)[:, :, 0])


def entropy(posterior_NxTxW: np.ndarray) -> np.ndarray:
  """Returns the entropy of the posterior of each word, NxT, nats."""
  return -(posterior_NxTxW * np.log(np.maximum(posterior_NxTxW, 1e-300))).sum(axis=2)


def left_only(language: Language) -> np.ndarray | None:
  """Returns the expected nats of word t given all words before it, T, in closed form.

  Their sum over t is the entropy of a document (chain rule). This needs a language whose words
  determine the state; then the distribution of the state before word t is one matrix product per
  word. For other languages it returns None.
  """
  step_WxZxZ, hope_TxZ = language.step_WxZxZ, language.hope_TxZ()
  if np.count_nonzero(language.start_Z) > 1 or (np.count_nonzero(step_WxZxZ, axis=2) > 1).any():
    return None
  state_Z, nats_T = language.start_Z, []
  for t in range(language.length):
    joint_WxZxZ = step_WxZxZ * hope_TxZ[t + 1]
    # p(word, next state | state, the document ends properly);
    # states that cannot end have no share in state_Z.
    joint_WxZxZ = joint_WxZxZ / np.maximum(joint_WxZxZ.sum(axis=(0, 2)), 1e-300)[None, :, None]
    nats_T.append(state_Z @ entropy(joint_WxZxZ.sum(axis=2).T[None])[0])
    state_Z = np.einsum('z,wzy->y', state_Z, joint_WxZxZ)
  return np.array(nats_T)


def _scaled(x_NxZ: np.ndarray) -> np.ndarray:
  return x_NxZ / x_NxZ.sum(axis=1, keepdims=True)
