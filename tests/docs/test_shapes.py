from pydantic import BaseModel
from pydantic_settings import BaseSettings
from sqlmodel import SQLModel

from tests.docs.pages import declared


def test_the_words_under_a_field_stand_in_the_description_of_every_shape() -> None:
    shapes = [
        shape
        for shape in declared(BaseModel)
        if not issubclass(shape, SQLModel | BaseSettings) and "[" not in shape.__name__
    ]

    assert len(shapes) > 100
    assert {
        f"{shape.__module__}.{shape.__name__}"
        for shape in shapes
        if not shape.model_config.get("use_attribute_docstrings")
    } == set()
