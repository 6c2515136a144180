from dataclasses import replace

import pytest

from deploy import picture
from deploy.roles import SERVICES
from tests.docs.pages import page


def test_the_picture_of_the_readme_has_the_names_of_now() -> None:
    assert picture.drawn(page("chain.svg")) == page("chain.svg")
    assert all(f'data-of="{mark}"' in page("chain.svg") for mark in picture.names())


def test_a_service_that_scoring_comes_to_read_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    more = [replace(each, reads=(*each.reads, "surveys")) if each.name == "scoring" else each for each in SERVICES]
    monkeypatch.setattr("deploy.picture.SERVICES", more)
    assert ">customers · leads · community · surveys<" in picture.drawn(page("chain.svg"))
