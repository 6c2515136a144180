"""HTTP in: each function loads, decides, records, returns."""
