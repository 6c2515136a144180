"""Alembic's entry: the connection and its transaction belong to `chassis.db.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
