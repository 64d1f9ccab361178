"""csrc/math/tables.h is what tools/tables.py writes."""

import pytest

from tools.tables import PATH, TABLES, written


@pytest.mark.skipif(not PATH.is_file(), reason="no sources")
@pytest.mark.parametrize("table", TABLES[::6], ids=lambda table: table.name)  # of the many, for four seconds each
def test_the_header_is_as_written(table):
    assert written(table) in PATH.read_text()
