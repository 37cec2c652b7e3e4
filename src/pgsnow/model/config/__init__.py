"""The table list as values: tables, modes, transforms, and what is wrong with them."""
