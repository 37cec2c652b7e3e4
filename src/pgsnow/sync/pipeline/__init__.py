"""The pipeline from pages of rows to load batches of Parquet part files; rejected rows are filtered out."""
