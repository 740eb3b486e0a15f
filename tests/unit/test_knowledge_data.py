"""What the project ships as knowledge and as health queries."""

import json
import re
from collections import Counter
from typing import Any

from contracts.settings import DATA
from contracts.text import digest
from store.knowledge_file import read_knowledge
from store.snippets import stems
from training.examples import read_labels

NODES = read_knowledge(DATA / "knowledge_nodes.json", intents=read_labels())
QUERIES: list[dict[str, Any]] = json.loads((DATA / "health_queries.json").read_text())


def test_every_row_is_good_and_every_intent_has_at_least_six_nodes() -> None:
    assert NODES.bad == ()
    assert len(NODES.nodes) >= 170
    counts = Counter(node.intent for node in NODES.nodes)
    assert {intent for intent in read_labels() if counts[intent] < 6} == set()


def test_every_node_has_80_to_250_words_a_title_of_its_own_a_url_of_its_own_and_tags() -> None:
    for node in NODES.nodes:
        assert 80 <= len(node.body.split()) <= 250, node.id
        assert 3 <= len(node.tags) <= 6, node.id
        assert node.url.startswith("https://www.alderridge.example/"), node.id
    assert len({node.title for node in NODES.nodes}) == len(NODES.nodes)
    assert len({node.url for node in NODES.nodes}) == len(NODES.nodes)


def test_telephone_numbers_and_addresses_are_fictional() -> None:
    for node in NODES.nodes:
        assert all(n.startswith("01") for n in re.findall(r"\b555-(\d{4})\b", node.body)), node.id
        assert not re.search(r"\b(?!555-)\d{3}-\d{4}\b", node.body), node.id
        for host in re.findall(r"@([\w.-]+\w)", node.body):
            assert host == "alderridge.example", node.id


def test_nodes_are_in_the_order_of_intents_and_ids_so_that_changes_can_be_read() -> None:
    order = read_labels()
    assert list(NODES.nodes) == sorted(NODES.nodes, key=lambda n: (order.index(n.intent), n.id))


def test_there_are_at_least_sixty_health_queries_two_an_intent_each_with_a_node_of_it() -> None:
    intents = {node.id: node.intent for node in NODES.nodes}
    assert len(QUERIES) >= 60
    for query in QUERIES:
        assert set(query) == {"text", "intent", "expected_node"}
        assert intents[query["expected_node"]] == query["intent"], query
    counts = Counter(query["intent"] for query in QUERIES)
    assert {intent for intent in read_labels() if counts[intent] < 2} == set()
    assert len({digest(query["text"]) for query in QUERIES}) == len(QUERIES)


def test_health_queries_are_worded_unlike_their_nodes() -> None:
    titles = {node.id: stems(node.title) for node in NODES.nodes}
    texts = {node.id: node.body.casefold() for node in NODES.nodes}
    shares = []
    for query in QUERIES:
        words, text = stems(query["text"]), query["text"].casefold()
        shares.append(len(words & titles[query["expected_node"]]) / len(words))
        run = text.split()
        for start in range(len(run) - 4):
            assert " ".join(run[start : start + 5]) not in texts[query["expected_node"]], text
    assert sum(shares) / len(shares) <= 0.15
    assert sum(share > 0.5 for share in shares) == 0
