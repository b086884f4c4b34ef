"""Messages show no credentials, whatever the address that they name."""

import pickle

import pytest

from lessonpipe.errors import MissingError, UserError, redact_credentials
from lessonpipe.io.storage import Storage


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://KEY:SECRET@host/folder is full", "s3://***@host/folder is full"),
        ("s3://KEY:SEC/RE@T@host/folder", "s3://***@host/folder"),
        ("at 'https://me@host/x', (ftp://a:b@c)", "at 'https://***@host/x', (ftp://***@c)"),
        ("https://host/x.zip?X-Amz-Signature=1f&b=2; again", "https://host/x.zip?***; again"),
        ("http://host:80/page#part: what? a=b", "http://host:80/page#part: what? a=b"),
        ("no model a@b.c in /a/b?x=1", "no model a@b.c in /a/b?x=1"),
    ],
)
def test_user_password_and_query_of_an_address_are_not_shown(text: str, shown: str) -> None:
    assert redact_credentials(text) == shown
    assert redact_credentials(shown) == shown
    assert str(UserError(text)) == shown
    assert str(pickle.loads(pickle.dumps(MissingError(text, "/p")))) == shown


def test_a_storage_that_cannot_be_used_is_named_without_its_key() -> None:
    storage = Storage("ftp://key:s3cr3t@127.0.0.1:1/folder")
    with pytest.raises(UserError) as caught:
        storage.check("LESSONPIPE_STORAGE")
    assert "LESSONPIPE_STORAGE=ftp://***@127.0.0.1:1/folder cannot be used" in str(caught.value)
    assert "s3cr3t" not in repr(storage)
