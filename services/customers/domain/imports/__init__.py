"""Reading other systems' files: which table, which column is what, which amount and which day."""
