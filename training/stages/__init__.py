"""The stages of a retraining, each a command: one file a stage, one JSON artifact a stage."""
