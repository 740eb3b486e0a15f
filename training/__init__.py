"""Where versions are made: one file a stage, one artifact a stage. Torch lives here alone."""
