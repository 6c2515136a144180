"""What is decided about leads: which moves are legal, how promising one is, when two tellings say the same."""
