"""The hub in other people's sites. Nothing of the hub imports this."""
