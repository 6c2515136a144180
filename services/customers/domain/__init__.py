"""What the customers service decides: pure functions of plain values and of time passed in."""
