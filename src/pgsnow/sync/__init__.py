"""The sync engine: ticks, the run of one table, loaders, and the services that they share."""
