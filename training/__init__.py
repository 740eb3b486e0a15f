"""Where versions are made: one file a stage, one artifact a stage. Torch lives here and nowhere else."""
