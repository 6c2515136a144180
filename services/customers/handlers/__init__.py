"""What comes in beside HTTP: imports that wait to be carried out."""
