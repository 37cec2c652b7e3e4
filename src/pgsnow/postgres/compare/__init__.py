"""SQL of the source's side of a comparison: digests, keys and bounds of key ranges."""
