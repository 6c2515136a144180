from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from services.leads.models import leads  # noqa: F401
from tests.growing import LATER

OWN = {"lead", "lead_version"}


async def test_the_migrations_make_the_tables_that_the_models_describe(database):
    def differences(connection):
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda thing, name, kind, *_: name not in LATER and (kind != "table" or name in OWN),
            },
        )
        found = compare_metadata(context, SQLModel.metadata)
        return [difference for difference in found if _about_columns(difference)]

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def _about_columns(difference) -> bool:
    kind = difference[0][0] if isinstance(difference, list) else difference[0]
    return "column" in kind or "table" in kind or (kind.startswith("modify_") and kind != "modify_default")
