"""`make ask Q="..."`: one question to the hub, and its answer readably."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.settings import Settings


def ask(text: str, *, url: str) -> dict[str, Any]:
    """Ask one question and return the answer (or problem) document. Raises httpx.HTTPError."""
    response = httpx.post(f"{url}/v1/query", json={"text": text}, timeout=15)
    if "json" not in response.headers.get("content-type", ""):
        raise httpx.HTTPError(f"{response.status_code} without a problem document: it is offline")
    document: dict[str, Any] = response.json()
    return {**document, "text": text}


def show(answer: dict[str, Any], *, console: Console) -> None:
    """Print an answer as a person reads it."""
    if "outcome" not in answer:
        console.print(
            Panel(answer.get("detail", "no answer"), title=answer.get("title", "Problem"))
        )
        return
    head = Text(answer["text"], style="bold")
    if answer["intent"]:
        head.append(f"\n{answer['outcome']}: {answer['intent']}", style="cyan")
        head.append(f" with confidence {answer['confidence']:.2f}", style="cyan")
    if answer["message"]:
        head.append(f"\n{answer['message']}", style="yellow")
    if answer["degraded"]:
        head.append(f"\nnot available just now: {', '.join(answer['degraded'])}", style="red")
    console.print(Panel(head, title="Student Resource Hub", border_style="cyan"))
    if crisis := answer["crisis"]:
        lines = f"{crisis['text']}\n{crisis['phone']}  {crisis['url']}"
        console.print(Panel(lines, title=crisis["title"], border_style="red"))
    table = Table(show_header=False, box=None, padding=(0, 1))
    for result in answer["results"]:
        title, url = (result["title"], "bold"), (result["url"], "blue")
        found = Text.assemble(title, f"\n{result['snippet']}\n", url)
        table.add_row(f"{result['score']:.2f}", found)
    console.print(table)
    timings = "  ".join(f"{stage} {value:g} ms" for stage, value in answer["timings_ms"].items())
    console.print(f"[dim]{answer['model_version']} · {timings}[/]")


def main(given: Sequence[str] | None = None) -> int:
    """Ask the hub on HUB_HTTP_PORT. Exit status 1 when it does not answer, 2 without a question."""
    parser = argparse.ArgumentParser(description="Ask the hub one question.")
    parser.add_argument("text", nargs="*")
    parser.add_argument("--svg", type=Path, help="also draw the answer into this file")
    arguments = parser.parse_args(given)
    console = Console(highlight=False, record=arguments.svg is not None)
    text = " ".join(arguments.text).strip()
    if not text:
        console.print('Ask something: make ask Q="how do i appeal a grade"')
        return 2
    url = f"http://127.0.0.1:{Settings().http_port}"
    try:
        answer = ask(text, url=url)
    except httpx.HTTPError as error:
        console.print(f"[red]No hub answers at {url}[/] ({error}). Start one with `make run`.")
        return 1
    show(answer, console=console)
    if arguments.svg is not None:
        console.save_svg(str(arguments.svg), title=f'make ask Q="{text}"')
    return 0 if "outcome" in answer else 1


if __name__ == "__main__":
    sys.exit(main())
