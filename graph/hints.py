"""What a frontend shows besides answers: whom to call, what to ask, and how intents are called."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from contracts.messages import Contact, Crisis, Hints
from contracts.outcome import OUT_OF_SCOPE
from contracts.settings import DATA
from graph.checked_yaml import mappings_of, read_yaml, text_of, texts_of
from graph.crisis import card_of

MOST_EXAMPLES: Final = 6
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]*[0-9]")


@cache
def read_hints(folder: Path = DATA) -> Hints:
    """Read crisis.yaml, contacts.yaml and intents.yaml of a folder, once a process.

    Raises ``OSError`` if one cannot be read, and ``ValueError`` that names the file and the place
    if one is damaged: what comes back is complete. Needs neither database nor model.
    """
    crisis = read_yaml(folder / "crisis.yaml", card_of)
    titles, examples = read_yaml(folder / "intents.yaml", _titles_and_examples)
    return Hints(
        crisis=Crisis(title=crisis.title, text=crisis.text, phone=crisis.phone, url=crisis.url),
        contacts=read_yaml(folder / "contacts.yaml", _contacts),
        examples=examples,
        intents=titles,
    )


def _contacts(root: Mapping[object, object]) -> list[Contact]:
    contacts: list[Contact] = []
    for position, row in enumerate(mappings_of(root.get("contacts"), "contacts")):
        name, text, phone = (
            text_of(row.get(field), f"contacts[{position}].{field}")
            for field in ("name", "text", "phone")
        )
        if not _PHONE.fullmatch(phone):
            raise ValueError(f"contacts[{position}].phone: not a telephone number: {phone!r}")
        contacts.append(Contact(name=name, text=text, phone=phone))
    return contacts


def _titles_and_examples(root: Mapping[object, object]) -> tuple[dict[str, str], list[str]]:
    titles: dict[str, str] = {}
    firsts: list[str] = []
    for position, row in enumerate(mappings_of(root.get("intents"), "intents")):
        place = f"intents[{position}]"
        name = text_of(row.get("name"), f"{place}.name")
        if name in titles:
            raise ValueError(f"{place}.name: {name} is there already")
        titles[name] = text_of(row.get("title"), f"{place}.title")
        examples = texts_of(row.get("examples"), f"{place}.examples")
        if examples and name != OUT_OF_SCOPE:
            firsts.append(examples[0])
    return titles, _spread(firsts, most=MOST_EXAMPLES)


def _spread(texts: Sequence[str], *, most: int) -> list[str]:
    """Return at most `most` of the texts, at even distances: neighbours are too much alike."""
    count = min(most, len(texts))
    return [texts[place * len(texts) // count] for place in range(count)]
