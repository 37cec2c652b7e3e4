"""Forms of the pages: the route that takes them, and what became of the actions that were asked for."""
