"""Arrow batches from the wire format into the plan's types; values that do not fit are set apart."""
