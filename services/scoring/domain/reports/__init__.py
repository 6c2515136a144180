"""What managers ask of many standings at once: pure arithmetic over what the facts say."""
