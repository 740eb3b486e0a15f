"""Search over what the university wrote."""

SERVER_OPTIONS = {"jit": "off"}
