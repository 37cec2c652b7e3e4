"""Sources for dbt, from the table list and both catalogs."""
