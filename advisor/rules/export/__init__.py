"""Rules about export."""
