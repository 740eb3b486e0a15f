"""The annotation view: reviewers say what doubtful queries mean."""
