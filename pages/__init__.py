"""The HTML pages that a command leaves behind: one file each, which fetches nothing."""
