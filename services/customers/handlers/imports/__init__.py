"""What the rows of files tell customers, one module per kind; `kinds` has them all."""
