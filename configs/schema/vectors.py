"""Values of `config.vectors` that are written as text."""

DIRECTIONS = ('query_to_doc', 'doc_to_query', 'query_to_query', 'doc_to_doc')


def directions(text: str) -> tuple[str, ...]:
  """('query_to_doc', ...) of 'query_to_doc+doc_to_query'.

  Raises:
    ValueError: a name is none of DIRECTIONS, or the first of them is not there.
  """
  named = tuple(text.split('+'))
  if (
    not set(named) <= set(DIRECTIONS) or len(set(named)) < len(named) or DIRECTIONS[0] not in named
  ):
    raise ValueError(f'query_to_doc, and with + between them any of {", ".join(DIRECTIONS[1:])}')
  return named


def dimensions(text: str) -> tuple[tuple[int, float], ...]:
  """((384, 1.0), (128, 0.5)) of '384 128:0.5'.

  Raises:
    ValueError: a word is no size with or without a weight, or a size stands twice.
  """
  found = {}
  for word in text.split():
    size, colon, weight = word.partition(':')
    try:
      number, share = int(size), float(weight) if colon else 1.0
    except ValueError:
      number, share = 0, 0.0
    if number < 1 or not 0 < share < 1e6 or number in found:
      raise ValueError("sizes with or without a weight, each once, as in '384 128:0.5'")
    found[number] = share
  return tuple(found.items())
