"""Events and the clock in: each function loads, decides, records."""
