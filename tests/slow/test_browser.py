"""The pages of a report in headless Chromium: clicked, read, and kept as pictures in build/."""

import pytest

import pages
from chromium import DESKTOP, NEEDED, PHONE, launched, picture, sync_api
from skiploop.report.details import Details
from skiploop.report.report import Report
from skiploop.report.write import write_report

pytestmark = NEEDED
expect = sync_api.expect

VIEWS = ("overview", "questions", "policies", "programs", "search")

TIMED = """async (views) => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const times = [];
    for (const view of views) {
        const start = performance.now();
        location.replace(view);
        await painted();
        await painted();
        times.push((performance.now() - start) / 1000);
    }
    return times;
}"""
"""Seconds until each view is on the screen."""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the address of a report on 120 questions, on the disk."""
    return written(tmp_path_factory.mktemp("report"))


def written(folder, **sizes):
    write_report(folder, *pages.report_and_details(**sizes))
    return (folder / "report" / "index.html").as_uri()


@pytest.fixture
def opened(browser, report):
    """Return what opens a view; whatever the console or the network says fails the test."""
    said, contexts = [], []

    def open_view(view="overview", *, at=report, size=DESKTOP, scheme="light"):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        beside = at.removesuffix("index.html")
        page.on("request", lambda one: one.url.startswith(beside) or said.append(one.url))
        page.goto(f"{at}#{view}")
        page.wait_for_selector(".drawn")
        return page

    yield open_view
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [("desktop", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")],
)
def test_every_view_opens_from_the_disk_and_fits_the_screen(opened, name, size, scheme):
    page = opened(size=size, scheme=scheme)
    for view in VIEWS:
        page.get_by_role("link", name=view.capitalize(), exact=True).click()
        page.locator(f"#view-{view}").wait_for()
        assert page.locator(".view:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for figure in page.locator("figure:visible").all():
            assert figure.locator("svg").count() == 1, figure.get_attribute("data-chart")
        picture(page, f"{view}-{name}")


def test_texts_of_a_run_stay_texts(opened):
    page = opened("questions?open=q0")
    assert page.locator("h1").inner_text() == f"toy, test, {pages.HOSTILE}".strip()
    assert pages.HOSTILE.strip() in page.locator(".detail dd").first.inner_text()


def test_a_question_is_searched_opened_and_read(opened):
    page = opened("questions")
    page.get_by_placeholder("question, gold or answer").fill("question 17:")
    expect(page.get_by_role("status")).to_have_text("1 of 120 questions")
    assert page.evaluate("document.activeElement.name") == "text"  # and can be typed on
    page.locator(".row").click()
    detail = page.locator(".detail")
    assert "20" in detail.locator("dd").nth(1).inner_text()
    names = detail.locator("tbody th").all_inner_texts()
    assert names == [*pages.POLICIES, *pages.MENU]
    detail.get_by_text("prompt", exact=True).click()
    assert "Examples: 1 + 1 = 2" in detail.locator("pre").inner_text()
    picture(page, "question-desktop")


def test_filters_show_what_a_policy_fixed(opened):
    page = opened("questions")
    page.locator("[name=policy]").select_option("selector")
    page.locator("[name=change]").select_option("fixed")
    report, details = pages.report_and_details()
    row = next(row for row in report.policies if row.policy == "selector")
    n_fixed = row.against_identity.only_first
    expect(page.get_by_role("status")).to_have_text(f"{n_fixed} of 120 questions")
    assert set(page.locator(".verdict").all_inner_texts()) == {"fixed"}
    page.locator("[name=category]").select_option("plural")
    asked = [one for one in details.judged if one.example.category == "plural"]
    fixed = [
        one.example.question
        for one in asked
        if one.answers["selector"].correct and one.answers["identity"].correct is False
    ]
    expect(page.locator(".asked")).to_have_text(fixed)
    page.locator("[name=sure]").select_option("0.75-1")
    expect(page.locator(".row")).not_to_have_count(len(fixed))
    page.locator("[name=sure]").select_option("")
    page.locator(".row").first.click()
    page.locator(".detail").wait_for()
    page.go_back()
    expect(page.locator(".detail")).to_have_count(0)
    expect(page.locator(".asked")).to_have_text(fixed)


def test_all_of_it_can_be_reached_with_the_keyboard(opened):
    page = opened()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#view-questions")).to_be_visible()
    page.locator(".row").nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Question q2")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="✕ close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_have_count(0)


def test_a_question_of_the_menu_is_opened_from_its_grid(opened):
    page = opened("programs")
    expect(page.locator(".grid tbody tr")).to_have_count(50)
    page.get_by_role("link", name="next →").click()
    expect(page.locator(".grid tbody tr")).to_have_count(40)
    page.locator(".grid a").first.click()
    expect(page.get_by_label("Question q170")).to_be_visible()
    assert page.locator(".detail tbody th").all_inner_texts() == list(pages.MENU)


def test_a_search_is_walked_through_step_by_step(opened):
    page = opened("search")
    steps = page.locator("[name=step]")
    expect(steps).to_have_value(str(pages.N_STEPS - 1))
    assert len(set(page.locator(".tree .node").all_text_contents())) == pages.N_STEPS
    steps.focus()
    page.keyboard.press("Home")
    expect(page.locator(".tree .node")).to_have_count(1)
    expect(page.locator(".tree .node strong")).to_have_text("identity")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".tree .node")).to_have_count(4)
    assert page.locator(".tree .on-walk").count() >= 2
    page.locator("[name=question]").select_option("q1")
    expect(page.locator("#view-search p").first).to_contain_text("gold: 2")


def test_before_anything_is_judged_the_page_shows_what_was_found(opened, tmp_path):
    report, details = pages.report_and_details()
    found = Report(title=report.title, menu=report.menu, search=report.search)
    behind = Details(of_menu=details.of_menu, searches=details.searches)
    write_report(tmp_path, found, behind)
    page = opened(at=(tmp_path / "report" / "index.html").as_uri())
    names = ["Overview", "Questions", "Programs", "Search"]
    assert page.locator("header nav a").all_inner_texts() == names
    for view in ("questions", "programs", "search"):
        page.get_by_role("link", name=view.capitalize(), exact=True).click()
        page.locator(f"#view-{view}").wait_for()
        picture(page, f"{view}-not-judged")
    page.get_by_role("link", name="Questions", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("90 of 90 questions")
    page.locator("[name=text]").fill("question 130:")
    expect(page.get_by_role("status")).to_have_text("1 of 90 questions")
    page.locator(".row").click()
    assert page.locator(".detail tbody th").all_inner_texts() == list(pages.MENU)


def test_a_search_alone_is_a_page_too(opened, tmp_path):
    report, details = pages.report_and_details()
    found = Report(title=report.title, search=report.search)
    write_report(tmp_path, found, Details(searches=details.searches))
    page = opened(at=(tmp_path / "report" / "index.html").as_uri())
    assert page.locator("header nav a").all_inner_texts() == ["Overview", "Search"]
    page.get_by_role("link", name="Search", exact=True).click()
    assert len(set(page.locator(".tree .node").all_text_contents())) == pages.N_STEPS


def test_ten_thousand_questions_stay_fluid(opened, tmp_path):
    page = opened("questions", at=written(tmp_path, n_judged=10_000, n_of_menu=2_000))
    views = ("questions?text=question+77", "questions?change=fixed&policy=vote:5", "policies")
    views += ("questions?open=q9999", "questions?page=150", "programs?page=20")
    times = page.evaluate(TIMED, [f"#{view}" for view in views])
    assert max(times) < 2, dict(zip(views, times, strict=True))  # 0.1 s on a machine at rest
