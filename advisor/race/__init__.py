"""Candidates measured against each other under a budget."""
