"""Interest that came in: how promising it is, who takes care of it, and what became of it."""
