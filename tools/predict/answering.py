"""Answers to questions, from windows of their texts, as a run scores them."""

from data.tasks import question_rows
from data.tasks.arriving import Asked
from data.tasks.squad import Question
from data.tokens import frames
from evaluation import answers
from evaluation.answers import Found
from inference.predict import Predictor

_COUNT, _LONGEST = 20, 30  # as config.finetune.n_best and longest_answer are
_STRIDE = 128  # as config.data.stride is


def answer(predictor: Predictor, chunk: list[Asked]) -> list[Found]:
  """What the model says of each question with its context."""
  questions = [Question(asked.texts, None, str(asked.line), '') for asked in chunk]
  frame, trained = predictor.frame, frames.of_training(predictor.tokenizer)
  length = predictor.max_length + trained.size(2) - frame.size(2)
  windows, framed = question_rows.frame(
    questions, predictor.tokenizer, max_length=length, stride=_STRIDE
  )
  before = [len(each.first) + len(each.between) for each in (frame, trained)]
  windows = [window._replace(first=window.first + before[0] - before[1]) for window in windows]
  said: list[list] = [[] for _ in chunk]
  for window, end_Tx2 in zip(windows, predictor.ends(framed.parts)):
    start_T, end_T = end_Tx2[:, 0], end_Tx2[:, 1]
    found = answers.candidates(window, start_T, end_T, count=_COUNT, longest=_LONGEST)
    said[window.owner].append((found, float(start_T[0] + end_T[0])))
  return [answers.join(each, _COUNT) for each in said]
