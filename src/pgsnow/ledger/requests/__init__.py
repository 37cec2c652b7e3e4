"""Actions that a person has asked for, and that the workers carry out."""
