"""Imports: files kept until they are recorded, jobs looked up, and chunk after chunk recorded."""
