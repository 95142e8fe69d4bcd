"""Rules about normalization."""
