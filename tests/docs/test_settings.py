import re
from pathlib import Path

import pytest
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from chassis.imports.settings import ImportingSettings
from chassis.installation import IdentifyingSettings
from chassis.settings import ServiceSettings
from tests.docs.pages import PACKAGES, code, declared, page, rows, section

CLASSES: list[type[ServiceSettings]] = sorted(
    {ServiceSettings, *declared(ServiceSettings)}, key=lambda cls: cls.__module__
)
SHARED: dict[type[ServiceSettings], str] = {
    ServiceSettings: "Every service",
    IdentifyingSettings: "Services that know identifiers",
    ImportingSettings: "Services that import files",
}


def place(settings: type[ServiceSettings]) -> str:
    return SHARED.get(settings) or prefix(settings).lower().strip("_")


def prefix(settings: type[ServiceSettings]) -> str:
    return "*_" if settings is ServiceSettings else settings.model_config["env_prefix"]


def variable(settings: type[ServiceSettings], name: str) -> str:
    alias = settings.model_fields[name].validation_alias
    assert not isinstance(alias, AliasChoices)
    return str(alias or f"{prefix(settings)}{name}".upper())


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "none" if value is None else f"`{value}`"


@pytest.mark.parametrize("settings", CLASSES, ids=place)
def test_every_setting_is_listed_with_its_default_and_unit(settings: type[ServiceSettings]) -> None:
    own = {name: field for name, field in settings.model_fields.items() if name in settings.__annotations__}

    listed = rows(section(page("settings.md"), place(settings)))

    assert {code(row[0]): row[1] for row in listed} == {
        variable(settings, name): default(field) for name, field in own.items()
    }
    assert all(len(row) == 4 and row[2] and row[3] for row in listed)


def test_every_setting_says_what_it_means_where_it_is_declared() -> None:
    assert [
        f"{settings.__module__}.{name}"
        for settings in CLASSES
        for name, field in settings.model_fields.items()
        if not field.description
    ] == []


def test_every_variable_of_ours_that_the_product_reads_is_listed() -> None:
    sources = [path.read_text() for package in PACKAGES for path in Path(package.__path__[0]).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r'"(SHUKE_[A-Z_]+)"', text)}

    assert read - {code(row[0]) for row in rows(page("settings.md"))} == set()
