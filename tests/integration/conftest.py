"""The prediction log on SQLite and on PostgreSQL, for every module that tests it on both."""

import pytest

from tests.logs import KINDS, empty_log
from tests.servers import postgresql


@pytest.fixture(scope="module")
def postgresql_server():
    """The address of a PostgreSQL of the module's own."""
    with postgresql() as (address, _):
        yield address


@pytest.fixture(params=KINDS)
def log(request, tmp_path):
    with empty_log(request.param, tmp_path, lambda: request.getfixturevalue("postgresql_server")) as log:
        yield log
