"""What is shown of standings and of what decides them, and what callers send."""
