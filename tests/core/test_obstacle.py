import errno

import pytest

from relay.core.obstacle import remedy_of


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "quota"),
        (errno.ENOENT, "make its folder"),
        (errno.EACCES, "let the relay's user write"),
        (errno.EPERM, "let the relay's user write"),
        (errno.EROFS, "mount it writable"),
        (errno.EIO, "check its folder, its owner and its disk"),
        (None, "check its folder, its owner and its disk"),
    ],
)
def test_what_to_do_follows_from_what_is_in_the_way(number: int | None, word: str) -> None:
    assert word in remedy_of(number)
