"""A model advisor for Keras: inspect, explain, rewrite, train, export."""
