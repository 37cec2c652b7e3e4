"""What the ledger stores about comparisons of source and target."""
