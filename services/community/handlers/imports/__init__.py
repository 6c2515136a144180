"""What the rows of files tell community, one module per kind; `kinds` has them all."""
