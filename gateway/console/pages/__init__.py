"""One file per page: what it asks the API, and which template shows it."""
