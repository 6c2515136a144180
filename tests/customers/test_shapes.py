"""What is sent and shown is explained in the OpenAPI document, each field by the words under it."""

from pydantic import BaseModel
from sqlmodel import SQLModel

from services.customers.models import duplicates, interactions, owners, parties, problems, purchases

ROOMS = (duplicates, interactions, owners, parties, problems, purchases)


def test_every_shape_says_in_the_document_what_its_fields_are():
    shapes = {
        thing
        for room in ROOMS
        for thing in vars(room).values()
        if isinstance(thing, type) and issubclass(thing, BaseModel) and not issubclass(thing, SQLModel)
    }
    assert len(shapes) > 50
    assert {shape.__name__ for shape in shapes if not shape.model_config.get("use_attribute_docstrings")} == set()
