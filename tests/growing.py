"""Tables as the next version may make them: this one serves on them until the last of its processes is replaced."""

import asyncpg

from chassis.db import Database, plain_url

LATER = ("of_the_next_version", "counted_from_then_on")
"""Columns that nobody here knows of."""


async def grown(database: Database) -> Database:
    """Give each table more columns, before anybody has asked anything of it."""
    connection = await asyncpg.connect(plain_url(database.url))
    await connection.execute(_GROW)
    await connection.close()
    return database


_GROW = f"""
DO $$ DECLARE grown text; BEGIN
    FOR grown IN SELECT oid::regclass FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('ALTER TABLE %s ADD {LATER[0]} text, ADD {LATER[1]} int NOT NULL DEFAULT 0', grown);
    END LOOP;
END $$
"""
