"""The pages about the code say what is there."""

from pathlib import Path

import in_process
import pytest

ROOT = Path(__file__).resolve().parents[1]
architecture = in_process.imported('tools.architecture')
PAGE = (ROOT / 'docs/tour.md').read_text()
PLACES = [place.groups() for place in architecture.PLACE.finditer(PAGE)]


@pytest.mark.parametrize('file, line, definition', PLACES)
def test_a_stop_of_the_tour_is_where_it_says(file, line, definition):
  assert architecture.line_of(file, definition) == int(line), (
    'python -m tools.architecture --tour=docs/tour.md sets it right'
  )


def test_the_tour_has_ten_stops_and_every_place_is_held():
  assert PAGE.count('\n**') == 10 and len(PLACES) == PAGE.count('.py:') >= 20


def test_the_floors_have_no_circle_and_the_page_names_every_room():
  found = architecture.rooms()
  levels = architecture.floors(architecture.arrows(found))
  assert {room for level in levels for room in level} == set(found)
  page = (ROOT / 'docs/architecture.md').read_text()
  assert all(f'`{room}/' in page for room in found)


def test_a_circle_is_seen():
  with pytest.raises(ValueError, match='circle: .*models, parallel'):
    architecture.floors({('models', 'parallel'), ('parallel', 'models')})
