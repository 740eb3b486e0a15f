"""A stage that needs torch runs in a process of its own, whose memory goes when it ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from contracts.errors import HubError
from contracts.settings import PROJECT


class StageFailed(HubError):
    """A stage of training ended early; nothing was published."""


def run_stage(module: str, arguments: Sequence[str], *, report: Callable[[str], None]) -> None:
    """Run `python -m module arguments...`, hand each line it prints to `report`, and wait.

    Errors go to this process's standard error. Raises StageFailed when it ends with one.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        # Threads that wait for each other sleep: on a busy machine spinning made a step five
        # times slower. It must be set before torch is loaded, so it cannot be set by the stage.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [sys.executable, "-u", "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                report(line.rstrip("\n"))
        except BaseException:
            child.terminate()
            raise
    if child.returncode != 0:
        raise StageFailed(f"{module} ended with status {child.returncode}; it said why above.")
