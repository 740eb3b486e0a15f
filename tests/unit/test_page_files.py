"""The page at `/` and its files: all of graph/web, whole, fresh, and nothing else."""

import os
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from graph.page import MEDIA_TYPES, WEB, mount_page
from graph.security import PAGE

FILES = sorted(file.name for file in WEB.iterdir() if file.is_file())


def client_of(folder: Path = WEB) -> httpx.AsyncClient:
    app = FastAPI()
    mount_page(app, folder=folder)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A web folder of our own, beside a file that is not for anybody."""
    (tmp_path / "secret.js").write_text("no")
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<p>émigré</p>")
    (web / "app.js").write_text("first")
    return web


async def test_the_page_is_the_index_of_the_folder() -> None:
    response = await client_of().get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content == (WEB / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
async def test_every_file_comes_whole_and_with_its_type(name: str) -> None:
    response = await client_of().get(f"/web/{name}")
    assert response.status_code == 200
    assert response.content == (WEB / name).read_bytes()
    (media_type,) = {media_type for end, media_type in MEDIA_TYPES.items() if name.endswith(end)}
    assert response.headers["content-type"] == media_type
    assert response.headers["content-security-policy"] == PAGE


async def test_what_the_page_asks_for_is_there_and_of_our_own() -> None:
    client = client_of()
    html = (WEB / "index.html").read_text()
    asked = re.findall(r'<(?:script|link|img)\b[^>]*?(?:src|href)="([^"]+)"', html)
    for file in WEB.glob("*.js"):
        imported = re.findall(r'(?:from|import) "\./([^"]+)"', file.read_text())
        asked += [f"/web/{name}" for name in imported]
    assert len(asked) >= 3
    for path in asked:
        assert path.startswith("/web/"), path
        assert (await client.get(path)).status_code == 200, path
    # What the policy would refuse.
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=|javascript:", html)


@pytest.mark.parametrize("path", ["/", "/web/app.js"])
async def test_head_says_what_get_would_say(folder: Path, path: str) -> None:
    client = client_of(folder)
    head, get = await client.head(path), await client.get(path)
    assert head.status_code == 200
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)
    assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize("path", ["/", "/web/index.html"])
async def test_a_browser_asks_each_time_and_sees_an_upgrade_at_once(
    folder: Path, path: str
) -> None:
    client = client_of(folder)
    first = await client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    again = await client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    # A browser puts the headers of a 304 over those that it has kept.
    for name in ("etag", "cache-control", "content-security-policy"):
        assert again.headers[name] == first.headers[name]
    # Of the same length, and at the same time, as images with fixed times have it.
    index = folder / "index.html"
    before = index.stat()
    index.write_text("<p>êmigré</p>")
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.stat().st_size == before.st_size
    assert (await client.get(path, headers=known)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/web/", "/web/none.js", "/web/../secret.js", "/web/%2e%2e/secret.js"),
        *("/web/..%2fsecret.js", "/web//secret.js", "/web/%00", "/web/" + "x" * 5_000),
        *("/web/.hidden.js", "/web/app.js~", "/web/notes.txt", "/web/deep", "/web/link.js"),
    ],
)
async def test_nothing_else_can_be_reached(folder: Path, path: str) -> None:
    for name in (".hidden.js", "app.js~", "notes.txt"):
        (folder / name).write_text("not for anybody")
    (folder / "deep").mkdir()
    (folder / "link.js").symlink_to(folder.parent / "secret.js")
    assert (await client_of(folder).get(path)).status_code == 404


async def test_a_file_is_only_read(folder: Path) -> None:
    for path in ("/", "/web/app.js"):
        response = await client_of(folder).post(path, content=b"second")
        assert response.status_code == 405
        assert "GET" in response.headers["allow"]
    assert (folder / "app.js").read_text() == "first"
