"""A module of a team whose import fails, with an error that pgsnow does not know."""

raise ZeroDivisionError("the team's own mistake")
