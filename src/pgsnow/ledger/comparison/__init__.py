"""What comparisons of tables with their targets leave in the ledger."""
