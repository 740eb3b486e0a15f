"""A `gcloud` that keeps what exists in a folder and writes down each call; started as a script.

FAKE_GCLOUD is the folder: `calls` has a line a call, its words apart by \\x1f; the other files are
what was made. It knows the commands of scripts/provision_gcp.sh by their kind, and refuses others.
"""

import os
import sys

ACCOUNT = "p1-abc@gcp-sa-cloud-sql.iam.gserviceaccount.com"


def _option(words: list[str], name: str) -> str:
    found = [word.partition("=")[2] for word in words if word.startswith(f"--{name}=")]
    return found[0] if found else ""


def _path(folder: str, *parts: str) -> str:
    return os.path.join(folder, "_".join(part.replace("/", "+") for part in parts if part))


def answer(words: list[str], *, folder: str) -> int:
    """Do what one command asks, print what gcloud would print, and return the exit status."""
    plain = [word for word in words if not word.startswith("--")]
    project = _option(words, "project")
    if plain[:2] == ["projects", "describe"] or plain[:3] == ["compute", "regions", "describe"]:
        known = ("hub-test-1", "europe-west1", "us-east4")
        return 0 if plain[-1] in known else 1
    if project != "hub-test-1":
        return 1
    verb = next(at for at, word in enumerate(plain) if word in VERBS)
    group, name = "-".join(plain[:verb]), plain[verb + 1] if len(plain) > verb + 1 else ""
    if group == "iam-service-accounts":  # made by its name, found by its address
        name = name.split("@")[0]
    return VERBS[plain[verb]](group, name, words, folder)


def _create(group: str, name: str, words: list[str], folder: str) -> int:
    where = _path(folder, group, name, _option(words, "instance"))
    if os.path.exists(where):
        print("already exists", file=sys.stderr)
        return 1
    with open(where, "w") as file:
        file.write(sys.stdin.read() if _option(words, "data-file") == "-" else "")
    return 0


def _set_password(group: str, name: str, words: list[str], folder: str) -> int:
    with open(_option(words, "flags-file")) as flags, open(_path(folder, group, name), "w") as file:
        file.write(flags.read())
    return 0


def _describe(group: str, name: str, words: list[str], folder: str) -> int:
    if group == "secrets-versions":
        print(f"projects/1/secrets/{_option(words, 'secret')}/versions/1")
        return 0
    if not os.path.exists(_path(folder, group, name, _option(words, "instance"))):
        return 1
    if "serviceAccountEmailAddress" in _option(words, "format"):
        print(ACCOUNT)
    return 0


def _list(group: str, name: str, words: list[str], folder: str) -> int:
    start = _path(folder, group, "")
    for found in sorted(os.listdir(folder)):
        if _path(folder, found).startswith(start + "_"):
            print(found[len(group) + 1 :].removesuffix("_" + _option(words, "instance")))
    return 0


def _enable(group: str, name: str, words: list[str], folder: str) -> int:
    for api in (word for word in words if word.endswith(".googleapis.com")):
        open(_path(folder, group, api), "w").close()
    return 0


def _policy(group: str, name: str, words: list[str], folder: str) -> int:
    where = _path(folder, "policy", group, name)
    if os.path.exists(where):
        with open(where) as file:
            print(file.read(), end="")
    return 0


def _bind(group: str, name: str, words: list[str], folder: str) -> int:
    with open(_path(folder, "policy", group, name), "a") as file:
        file.write(f"{_option(words, 'role')},{_option(words, 'member')}\n")
    return 0


def _copy(group: str, name: str, words: list[str], folder: str) -> int:
    source, target = (word for word in words[2:] if not word.startswith("--"))
    with open(source) as read, open(_path(folder, "storage-objects", target), "w") as file:
        file.write(read.read())
    return 0


def _update(group: str, name: str, words: list[str], folder: str) -> int:
    return 0 if os.path.exists(_path(folder, group, name)) else 1


def _import(group: str, name: str, words: list[str], folder: str) -> int:
    instance, source = (word for word in words[3:] if not word.startswith("--"))
    objects = _path(folder, "storage-objects", source)
    return _update("sql-instances", instance, words, folder) or int(not os.path.exists(objects))


def _access(group: str, name: str, words: list[str], folder: str) -> int:
    with open(_path(folder, "secrets", _option(words, "secret"))) as file:
        print(file.read())
    return 0


VERBS = {
    "create": _create,
    "set-password": _set_password,
    "describe": _describe,
    "list": _list,
    "enable": _enable,
    "get-iam-policy": _policy,
    "add-iam-policy-binding": _bind,
    "cp": _copy,
    "update": _update,
    "import": _import,
    "access": _access,
}
CHANGES = ("create", "set-password", "enable", "add-iam-policy-binding", "cp", "update", "import")

if __name__ == "__main__":
    given, kept = sys.argv[1:], os.environ["FAKE_GCLOUD"]
    with open(os.path.join(kept, "calls"), "a") as calls:
        calls.write("\x1f".join(given) + "\n")
    sys.exit(answer(given, folder=kept))
