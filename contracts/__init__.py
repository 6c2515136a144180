"""What outsiders rely on: events, topics, identity and problems. Pure data, no I/O."""
