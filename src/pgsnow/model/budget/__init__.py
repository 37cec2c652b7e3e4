"""How long loads wait so that the credits of a day suffice (docs/budget.md): pure functions."""
