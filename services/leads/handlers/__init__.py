"""What comes in beside HTTP: rubrics that wait to grade every lead, and imports that wait to be carried out."""
