"""Alembic's entry: the connection belongs to `chassis.migrations`; each version is a transaction of its own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
