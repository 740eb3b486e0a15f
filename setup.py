"""What pyproject.toml cannot say: files of the repository's root that the code reads, too."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FILES = ("serve_config.yaml", "tests/golden_queries.json")
"""Beside the packages in a checkout (contracts.settings.PROJECT), and so in the wheel."""


class WithRootFiles(build_py):
    """Copies them beside the packages; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in FILES:
            target = Path(self.build_lib, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(ROOT / name, target)


setup(cmdclass={"build_py": WithRootFiles})
