"""Imports: other systems' files read, recorded row by row, followed, and undone; the same for every kind of file.

A kind is an `ImportKind` (`kinds`): its fields with the words that name them in headers (`fields` has those that many
kinds share), a pure `read` from the cells of a row to what it tells, and two functions over the session: `record`,
which says what became of each, and `withdraw`, which takes back a page of what an import brought. To add one, write it
in `handlers/imports/` of the service, put it into the `KINDS` of that room, and its reasons, a class below
`reasons.RowReason`, into `docs/problems.md`.

A service that has imports calls `table.create_tables(op.execute)` in a migration, derives its settings from
`settings.ImportingSettings`, includes `routes.router` and `routes.streams`, sets `app.state.import_kinds = KINDS`, and
has the role of an importer: `await importer.run(Settings(), KINDS)`.
"""
