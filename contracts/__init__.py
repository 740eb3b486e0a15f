"""The words that everyone shares: messages, records, errors, settings. Imports nothing of ours."""
