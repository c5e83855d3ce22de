"""Holds what was measured against what a claim says: confirmed, off, or not runnable."""

import dataclasses

from tools.claims.schema import PROVENANCE, Claim

# Of PROVENANCE: sources that were not read, which confirm nothing.
_UNREAD = 'FR'


class ClaimOff(ArithmeticError):
  """A claim was measured, and the result is not what was published."""

  exit_code = 5


class NothingRan(OSError):
  """None of the claims that were asked for could be confirmed here."""

  exit_code = 6


@dataclasses.dataclass(frozen=True)
class Answer:
  """The result of a claim.

  Attributes:
    verdict: confirmed | off | not runnable.
    measured: in the claim's unit; None if nothing was measured.
    off_by: measured - published, of a claim that is off.
    reason: how it was measured, or why it was not.
    command: what would measure it, if that is known.
  """

  claim: Claim
  verdict: str
  measured: float | None
  off_by: float | None
  reason: str
  command: str | None = None


def judge(claim: Claim, measured: float, how: str) -> Answer:
  """Holds a number, in the claim's unit, against what was published.

  Nothing confirms a claim whose source was not read.
  """
  if claim.provenance in _UNREAD:
    return cannot(claim, f'measured {number(measured)} ({how})', measured=measured)
  off_by = measured - claim.value
  if abs(off_by) <= claim.tolerance:
    return Answer(claim, 'confirmed', measured, None, how)
  return Answer(claim, 'off', measured, off_by, how)


def judge_sign(claim: Claim, mean: float, half_width: float | None, how: str) -> Answer:
  """Holds a paired difference against the sign that was published.

  Args:
    half_width: of its 95% confidence interval; None for one seed.
  """
  if half_width is None:
    spread = 'one seed, no interval'
  else:
    spread = f'95% interval {number(mean)} ± {number(half_width)}'
  if claim.provenance in _UNREAD:
    return cannot(claim, f'measured {spread} ({how})', measured=mean)
  if half_width is None or abs(mean) <= half_width:
    return cannot(
      claim, f'the sign is not decided: {spread} ({how}); it takes more seeds.', measured=mean
    )
  if (mean > 0) == (claim.value > 0):
    return Answer(claim, 'confirmed', mean, None, f'{spread}; {how}')
  return Answer(claim, 'off', mean, mean - claim.value, f'{spread}; {how}')


def cannot(
  claim: Claim, reason: str, command: str | None = None, measured: float | None = None
) -> Answer:
  """No verdict on a claim, and why.

  Args:
    command: what would measure it.
  """
  if claim.provenance in _UNREAD:
    figure = (
      f'the figure is {PROVENANCE[claim.provenance]} [{claim.provenance}] and confirms nothing'
    )
    reason = f'its source was not read, {figure}; {reason}'
  return Answer(claim, 'not runnable', measured, None, reason, command)


def conclude(answers: list[Answer]):
  """Returns if something was confirmed and nothing is off.

  Raises:
    ClaimOff: a claim is off.
    NothingRan: no claim was confirmed.
  """
  off = [answer.claim.name for answer in answers if answer.verdict == 'off']
  if off:
    raise ClaimOff(f'{len(off)} of {len(answers)} claims off: {", ".join(off)}')
  if not any(answer.verdict == 'confirmed' for answer in answers):
    raise NothingRan(
      f'none of {len(answers)} claims could be confirmed here; the reasons stand above.'
    )


def number(value: float) -> str:
  """Whole and large numbers without decimals, others with five significant digits."""
  return f'{value:,.0f}' if value == int(value) or abs(value) >= 1e5 else f'{value:.5g}'
