"""Reads behind the reports, each within one snapshot and in flat memory."""
