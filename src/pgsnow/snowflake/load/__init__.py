"""The steps that load a target: their order, and what is executed in one transaction."""
