import re
from itertools import pairwise
from xml.etree import ElementTree

from bench.chart import LABEL, PANEL, WIDTH, Panel, svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(**lines: list[tuple[float, float]]) -> ElementTree.Element:
    return ElementTree.fromstring(svg("Memory & lag <of an hour>", [Panel("MB", lines)]))


def paths(sheet: ElementTree.Element) -> list[list[tuple[float, float]]]:
    found = [path.attrib["d"] for path in sheet.iter(f"{SVG}path") if path.get("class") == "line"]
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)] for path in found]


def names(sheet: ElementTree.Element) -> dict[str, float]:
    return {
        text.text or "": float(text.attrib["y"]) for text in sheet.iter(f"{SVG}text") if "fill" in text.get("style", "")
    }


def test_a_drawing_is_one_document_with_its_title_escaped() -> None:
    sheet = drawn(kafka=[(0, 1), (60, 2)])

    assert sheet.findtext(f"{SVG}title") == "Memory & lag <of an hour>"
    assert not list(sheet.iter(f"{SVG}script"))


def test_higher_values_stand_higher_and_later_ones_further_right() -> None:
    [(first, second)] = paths(drawn(kafka=[(0, 1), (60, 4)]))

    assert second[0] > first[0]
    assert second[1] < first[1]
    assert second[0] < WIDTH


def test_a_value_stands_in_its_share_of_the_panel() -> None:
    [[bottom, middle, top]] = paths(drawn(kafka=[(0, 0), (30, 200), (60, 400)]))

    assert bottom[1] - top[1] == PANEL
    assert bottom[1] - middle[1] == PANEL / 2


def test_lines_that_end_at_one_value_have_names_that_do_not_lie_on_each_other() -> None:
    places = names(drawn(**{f"part-{number}": [(0.0, 5.0), (60.0, 5.0)] for number in range(4)}))

    assert len(places) == 4
    assert all(lower - upper >= LABEL for upper, lower in pairwise(sorted(places.values())))


def test_no_line_is_left_out_where_there_are_more_of_them_than_colours() -> None:
    sheet = drawn(**{f"part-{number}": [(0.0, float(number)), (60.0, float(number))] for number in range(12)})

    assert len(paths(sheet)) == len(names(sheet)) == 12
    assert set(names(sheet)) == {f"part-{number}" for number in range(12)}


def test_nothing_but_zeros_is_drawn_too() -> None:
    [points] = paths(drawn(events=[(0, 0), (0, 0)]))

    assert len({y for _, y in points}) == 1
