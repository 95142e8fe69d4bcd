"""Ready rewrites, usable without the advisor: each takes a model and returns a new one, weights kept."""
