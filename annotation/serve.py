"""Runs Streamlit's server for the view: `python -m annotation.serve OPTIONS`."""

import sys
from pathlib import Path

from streamlit import net_util
from streamlit.web import cli

APP = Path(__file__).with_name("app.py")


def serve(options: list[str]) -> None:
    """Serve the view with Streamlit's options until the process is told to stop."""
    # Streamlit asks a web service for this machine's outside address when a page of another origin
    # calls. Nothing is fetched from elsewhere: such a page is refused without asking anybody.
    net_util.get_external_ip = lambda: None
    sys.argv = ["streamlit", "run", str(APP), *options]
    cli.main()


if __name__ == "__main__":
    serve(sys.argv[1:])
