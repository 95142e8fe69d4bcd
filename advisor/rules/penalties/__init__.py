"""Rules about penalties."""
