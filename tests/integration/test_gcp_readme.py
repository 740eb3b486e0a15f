"""README's "Run it on Google Cloud": every file, module, option and name in it is there."""

import importlib.util
import os
import re
import shlex
import subprocess

import yaml

from contracts.settings import PROJECT

README = (PROJECT / "README.md").read_text()
SECTION = README[README.index("## Run it on Google Cloud") : README.index("## Speed")]
COMMANDS = [
    command
    for block in re.findall(r"```console\n(.*?)```", SECTION, flags=re.DOTALL)
    for command in re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), flags=re.MULTILINE)
]
RENDERED = {"cluster.yaml", "rayservice.yaml", "nightly.yaml"}


def test_what_the_commands_name_is_there() -> None:
    assert len(COMMANDS) > 20
    said = "\n".join(COMMANDS)
    for module in set(re.findall(r"python -m ([\w.]+)", said)):
        assert importlib.util.find_spec(module), module
    for file in set(re.findall(r"(?<![\w/.])((?:deploy|scripts)/[\w./]+)", said)):
        assert (PROJECT / file).is_file(), file
    provisions = (PROJECT / "scripts" / "provision_gcp.sh").read_text()
    assert set(re.findall(r"\.hub/gcp/([\w.]+)", said)) == RENDERED
    assert set(re.findall(r"^render .*?([\w.]+)$", provisions, flags=re.MULTILINE)) == RENDERED


def test_the_pods_find_the_maps_and_secrets_that_the_commands_make() -> None:
    made: dict[str, set[str]] = {}
    for command in COMMANDS:
        if found := re.search(r"create (?:configmap|secret generic) ([\w-]+)", command):
            made[found[1]] = set(re.findall(r"--from-file=([\w-]+)=", command))
    service = (PROJECT / "deploy" / "kuberay" / "rayservice.yaml").read_text()
    asked: dict[str, set[str]] = {}
    for text in yaml.safe_load_all(service):
        for name, key in _references(text):
            asked.setdefault(name, set()).update(key)
    assert asked == made


def _references(one: object) -> list[tuple[str, set[str]]]:
    """Return what an object takes from ConfigMaps and Secrets: their names, and keys if it says."""
    if isinstance(one, list):
        return [found for item in one for found in _references(item)]
    if not isinstance(one, dict):
        return []
    found = [found for item in one.values() for found in _references(item)]
    if reference := one.get("configMapRef") or one.get("secretKeyRef"):
        found.append((reference["name"], {reference["key"]} if "key" in reference else set()))
    if name := one.get("secretName"):
        found.append((name, {"auth_token"}))  # KubeRay's own key, and the file's name in the home
    return found


def test_the_first_command_prints_a_script() -> None:
    (dry,) = [one for one in COMMANDS if one.startswith("scripts/") and one.endswith("--dry-run")]
    assert COMMANDS[COMMANDS.index(dry) + 1] == dry.removesuffix(" --dry-run")
    words = shlex.split(re.sub(r"\$\(curl [^)]*\)", "198.51.100.7", dry))

    words = [
        word.replace("$PROJECT", "my-project").replace("$REGION", "us-east4") for word in words
    ]
    ran = subprocess.run(
        words,
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    parsed = subprocess.run(["bash", "-n"], input=ran.stdout, text=True, check=False)
    assert parsed.returncode == 0
    assert "gcloud sql instances create hub " in ran.stdout
