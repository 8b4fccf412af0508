import pytest

from fashion.errors import FashionError, ServiceError, without_secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://ann:secret@host:5000/a", "http://host:5000/a"),
        ("http://secret@host", "http://host"),
        ("http://ann:se@cret@host/a", "http://host/a"),
        ("postgresql+psycopg://ann:se/cret@host/log", "postgresql+psycopg://host/log"),
        ("postgresql://host/log?password=secret&user=ann", "postgresql://host/log?password=***&user=ann"),
        ("https://host/a?X-Amz-Signature=secret#b", "https://host/a?X-Amz-Signature=***#b"),
        ("https://host/a?access_token=secret", "https://host/a?access_token=***"),
        ("http://host:5000/#/models/a@champion", "http://host:5000/#/models/a@champion"),
        ("http://host/a@b", "http://host/a@b"),
        ("models:/a@champion", "models:/a@champion"),
        ("sqlite:////home/ann@work/log.db", "sqlite:////home/ann@work/log.db"),
        ("ann@host.example", "ann@host.example"),
    ],
)
def test_an_address_is_shown_without_its_secrets_wherever_it_stands(address, shown):
    assert without_secrets(address) == shown
    words = f'GET {address} "{address}" <{address}>\n{address}'
    assert without_secrets(words) == f'GET {shown} "{shown}" <{shown}>\n{shown}'
    assert str(ServiceError(words)) == without_secrets(words)


def test_what_would_move_a_cursor_or_cannot_be_written_is_not_shown():
    assert (
        str(FashionError("a\x1b[2J\x0f\r\x9b\ud800b\n\tä\u202f1")) == "a\ufffd[2J\ufffd\ufffd\ufffd\ufffdb\n\tä\u202f1"
    )
