"""Every example in the documentation runs and prints what it says."""

import doctest

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


def test_readme_table_is_current():
    from tools.op_table import between_markers, table

    assert between_markers() == table(), "run `python -m tools.op_table` to renew the table in README.md"
