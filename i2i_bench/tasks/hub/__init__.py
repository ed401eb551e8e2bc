"""Data sets of the Hugging Face hub: named, listed, read from parquet, made tasks of."""
