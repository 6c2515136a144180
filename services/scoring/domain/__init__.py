"""What scoring decides: pure functions of calendars, rulings and an instant."""
