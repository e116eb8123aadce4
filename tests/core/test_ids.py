import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.ids import ID_PATTERN, are_ids, is_id, is_traceparent, is_uuid, path_segment, uuid7

INJECTIONS = [
    "../../../../hook?",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a%2fb",
    "a b",
    "a\nb",
    "guest\n",
    "a;b",
    "@evil",
    "\u2025",
    "\uff41",
    "x" * 129,
]


@pytest.mark.parametrize("value", INJECTIONS)
def test_an_id_that_could_leave_its_path_segment_is_refused(value: str) -> None:
    assert not is_id(value)


@pytest.mark.parametrize("value", ["g", "guest-1", "a.b_c:d~e", "0", "x" * 128])
def test_ordinary_ids_are_taken(value: str) -> None:
    assert is_id(value)


@given(st.lists(st.sampled_from([*INJECTIONS, "a", "b-1", "x" * 128]) | st.text(max_size=5), max_size=4))
def test_several_are_ids_if_each_is(values: list[str]) -> None:
    assert are_ids(values) == all(map(is_id, values))


def test_what_is_no_text_is_no_id() -> None:
    with pytest.raises(TypeError):
        are_ids(["a", 1])  # type: ignore[list-item]  # as JSON may have it


@given(st.text(max_size=40))
def test_every_id_we_take_is_its_own_path_segment_but_for_the_colon(value: str) -> None:
    if is_id(value):
        assert path_segment(value).replace("%3A", ":") == value


@given(st.text(min_size=1, max_size=20).filter(lambda text: text not in {".", ".."} and text.isascii()))
def test_a_path_segment_never_holds_a_delimiter(value: str) -> None:
    assert not set(path_segment(value)) & set("/?#\\;@: \r\n")


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_dotted_segment_cannot_be_built(value: str) -> None:
    with pytest.raises(ValueError, match="path segment"):
        path_segment(value)


def test_the_pattern_needs_no_look_around() -> None:
    assert "(?" not in ID_PATTERN


# The form of RFC 9562 section 4 in either case; the third and fourth are refused by newer validators.
@pytest.mark.parametrize(
    "value",
    [
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "11111111-1111-1111-1111-111111111111",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
)
def test_any_uuid_is_taken_whatever_its_version(value: str) -> None:
    assert is_uuid(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",  # it would be a second session
        "f81d4fae7dec11d0a76500a0c91e6bf6",
        "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6\n",
        "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ],
)
def test_other_spellings_of_a_uuid_are_refused(value: str) -> None:
    assert not is_uuid(value)


def test_uuid7_gives_the_rfcs_own_example() -> None:
    # RFC 9562 appendix A.6.
    assert uuid7(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_uuid7_has_version_7_and_the_rfc_variant_whatever_the_randomness(
    unix_ms: int, random_bits: int
) -> None:
    made = uuid7(unix_ms, random_bits)
    assert is_uuid(made)
    assert re.fullmatch(r".{14}7.{4}[89ab].{16}", made)


@given(st.integers(0, 2**48 - 2), st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_a_later_uuid7_sorts_later(unix_ms: int, one: int, other: int) -> None:
    assert uuid7(unix_ms, one) < uuid7(unix_ms + 1, other)


# The example of W3C Trace Context section 3.2.3, and the invalid forms its sections 3.2.2.3 and 3.2.2.4 name.
@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", False),
    ],
)
def test_a_traceparent_names_a_trace_and_a_span(value: str, *, is_valid: bool) -> None:
    assert is_traceparent(value) is is_valid
