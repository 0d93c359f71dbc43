"""The studio: files of a report in front of the routes of the server."""

from functools import partial

import httpx
import pytest
from serving import served, stack_with_template

from skiploop.studio import make_studio

FILES = {"index.html": "<p>a page</p>", "data.js": "const DATA = {};\n", "plot.LICENSE": "ISC"}


@pytest.fixture(scope="module")
def address():
    with served(stack_with_template(), app_of=partial(make_studio, files=FILES)) as (_, port):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "index.html", "text/html"),
        ("/index.html", "index.html", "text/html"),
        ("/data.js", "data.js", "text/javascript"),
        ("/plot.LICENSE", "plot.LICENSE", "text/plain"),
    ],
)
def test_the_files_of_a_report_are_served(address, path, name, kind):
    given = httpx.get(address + path)
    assert given.status_code == 200 and given.text == FILES[name]
    assert given.headers["content-type"].startswith(kind)


def test_the_model_answers_beside_them(address):
    body = {"model": "tiny:2:4x2", "prompt": "the hen", "max_tokens": 2}
    told = httpx.post(f"{address}/v1/completions", json=body).raise_for_status().json()
    assert told["skiploop"]["program"] == "2:4x2"


@pytest.mark.parametrize("path", ["/other.html", "/..%2fconfig.json", "/data.js/x"])
def test_nothing_else_is_served(address, path):
    assert httpx.get(address + path).status_code == 404


def test_a_page_of_another_site_that_has_this_address_is_refused(address):
    for path in ("/", "/data.js", "/v1/models"):
        assert httpx.get(address + path, headers={"host": "evil.example"}).status_code == 400
