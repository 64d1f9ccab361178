"""Every example in the documentation runs and prints what it says."""

import doctest
import re
from pathlib import Path

import pytest

import act_ext
from act_ext import _convert, _describe, _override, functional, nn


@pytest.mark.parametrize("module", [act_ext, _convert, _describe, _override, functional, nn], ids=lambda m: m.__name__)
def test_docstring_examples(module):
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, module.__name__):
        runner.run(test)
    assert runner.tries > 0
    assert runner.failures == 0


ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages(page):
    """Their examples run and print what they say; their links lead somewhere."""
    text = page.read_text()
    # A fence ends what doctest would take for a part of the result.
    examples = doctest.DocTestParser().get_doctest(
        re.sub(r"^```.*$", "", text, flags=re.M), {}, page.name, str(page), 0
    )
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(examples)
    assert runner.failures == 0
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        target = (page.parent / link).resolve()
        # A site is made of docs/ alone.
        assert link.startswith("http") or (target.exists() and target.is_relative_to(ROOT / "docs")), link


def test_generated_pages_are_current():
    from tools import pages

    for file, text in pages.pages().items():
        assert (pages.OUT / file).read_text() == text, "run `python -m tools.pages` to renew docs/activations"
    assert pages.MODELS.read_text() == pages.with_models(pages.MODELS.read_text())


def test_every_page_is_listed():
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES}


def test_readme_table_is_current():
    from tools.op_table import between_markers, table

    assert between_markers() == table(), "run `python -m tools.op_table` to renew the table in README.md"
