"""The pipeline from pages of rows to Parquet part files; rejected rows are set apart."""
