"""One intention each, thin: what a person runs."""
