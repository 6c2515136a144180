from typing import Any

import pytest

from chassis.paths import fits, methods


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/v1/notes/1/read", True),
        ("/v1/notes/read/read", True),
        ("/v1/notes/1/reads", False),
        ("/v1/notes/1", False),
        ("/v1/notes/1/read/", False),
        ("/v2/notes/1/read", False),
    ],
)
def test_a_pattern_stands_for_paths_with_the_same_steps(path: str, is_one: bool) -> None:
    assert fits("/v1/notes/{note_id}/read", path) is is_one


def test_a_path_that_is_named_knows_its_own_methods_only() -> None:
    document: dict[str, Any] = {
        "paths": {
            "/v1/leads/{id}": {"get": {}, "patch": {}},
            "/v1/leads/bulk": {"post": {}},
            "/v1/{a}/{b}": {"put": {}},
        }
    }
    assert methods(document, "/v1/leads/bulk") == ["POST"]
    assert methods(document, "/v1/leads/1") == ["GET", "HEAD", "PATCH"]
    assert methods(document, "/v1/other/1") == ["PUT"]
    assert methods(document, "/v1/leads/1/win") == []
