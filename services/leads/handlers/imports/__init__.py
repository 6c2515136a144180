"""What the rows of files tell leads, one module per kind; `kinds` has them all."""
