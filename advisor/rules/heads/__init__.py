"""Rules about heads."""
