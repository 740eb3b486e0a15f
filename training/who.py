"""Who acts: the name that stands in the promotions log."""

import getpass
import os


def who_acts() -> str:
    """Return this process's user, by name where it has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has a number and no name
        return f"uid {os.getuid()}"
