"""The playground of a studio in headless Chromium."""

from functools import partial

import pytest
from families import N_LAYERS
from serving import served, stack_with_template

import pages
from chromium import DESKTOP, NEEDED, launched, picture, sync_api
from skiploop import Program
from skiploop.report.page import Playground, page_files
from skiploop.studio import make_studio

pytestmark = NEEDED

PROGRAMS = ("identity", "2:4x2")
PROMPT = "the hen 3 on 9?"


@pytest.fixture(scope="module")
def stack():
    return stack_with_template()


@pytest.fixture(scope="module")
def address(stack):
    playground = Playground(model="tiny", max_new_tokens=5)
    files = page_files(*pages.report_and_details(), playground)
    with served(stack, app_of=partial(make_studio, files=files)) as (_, port):
        yield f"http://127.0.0.1:{port}/"


def test_a_prompt_is_asked_under_two_programs_side_by_side(stack, address):
    expected = stack.generate(
        [PROMPT] * 2, [Program.parse(text, N_LAYERS) for text in PROGRAMS], max_new_tokens=5
    )
    with sync_api.sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page(viewport=DESKTOP)
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}#questions?open=q5")
        page.get_by_role("link", name="ask in the playground").click()
        asked = page.locator("[name=prompt]")
        assert "question 5:" in asked.input_value()
        asked.fill(PROMPT)
        for name in pages.MENU:
            page.locator(f"[value='tiny:{name}']").uncheck()
        page.locator("[value='tiny:identity']").check()
        page.locator("[name=other]").fill(PROGRAMS[1])
        page.get_by_role("button", name="Ask").click()
        page.locator(".lens").nth(1).wait_for()
        assert page.locator(".card h3").all_inner_texts() == list(PROGRAMS)
        texts = page.locator(".answer").evaluate_all("all => all.map((one) => one.textContent)")
        assert texts == [one.text for one in expected]
        rows = [card.locator(".lens tbody tr").count() for card in page.locator(".card").all()]
        assert rows == [one.program.n_slots for one in expected]
        picture(page, "playground-desktop")
        assert said == []
        browser.close()
