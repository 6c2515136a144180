"""Files in: what their rows tell, and how that is recorded."""
