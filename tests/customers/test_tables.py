from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from chassis.db import driver
from chassis.imports.table import create_tables
from services.customers.models import (  # noqa: F401
    duplicates,
    facts,
    interactions,
    links,
    observations,
    owners,
    parties,
    problems,
    purchases,
)

OWN = {
    "party",
    "identity",
    "holding",
    "merge",
    "member_link",
    "purchase",
    "purchase_return",
    "interaction",
    "observation",
    "problem",
    "problem_step",
    "former_version",
    "party_owner",
    "duplicate_rules",
    "ownership",
}


async def test_the_migrations_make_the_tables_that_the_models_describe(database):
    def differences(connection):
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda thing, name, kind, *_: kind != "table" or name in OWN,
            },
        )
        found = compare_metadata(context, SQLModel.metadata)
        return [difference for difference in found if _about_columns(difference)]

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_tables_of_imports_are_those_of_every_service(database, make_database):
    fresh = await make_database(None)
    statements = []
    create_tables(statements.append)
    async with fresh.transaction() as session:
        await (await driver(session)).execute(";".join(statements))

    assert await _columns_of_imports(database) == await _columns_of_imports(fresh) != []


async def _columns_of_imports(database):
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch(
            "SELECT table_name, column_name, data_type, udt_name, is_nullable, column_default, collation_name"
            " FROM information_schema.columns WHERE table_name LIKE 'import_%' ORDER BY table_name, column_name"
        )
    return [tuple(row) for row in rows]


def _about_columns(difference) -> bool:
    kind = difference[0][0] if isinstance(difference, list) else difference[0]
    return "column" in kind or "table" in kind or (kind.startswith("modify_") and kind != "modify_default")
