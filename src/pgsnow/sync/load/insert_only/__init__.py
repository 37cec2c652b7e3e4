"""Tables whose rows never change (`insert_only`): copied into their targets without a MERGE, each batch once."""
