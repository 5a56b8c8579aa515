"""Recordings to shards to cache to batches, on the host; never imports jax."""
