import gzip
from itertools import islice, pairwise
from pathlib import Path

import pytest

from relay.sandbox.traces import BadTrace, endless_trace, generated_trace, read_trace


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.txt"
    path.write_text(text)
    return path


def test_a_trace_is_one_integer_a_line(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, "0\n120\n120\n4000\n")) == [0, 120, 120, 4000]


def test_a_packed_trace_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt.gz"
    path.write_bytes(gzip.compress(b"0\n5\n", mtime=0))
    assert read_trace(path) == [0, 5]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0\nten\n", "line 2"),
        ("0\n-1\n", "line 2"),
        ("0\n1.5\n", "line 2"),
        ("0\n5\n\n7\nx\n", "line 5"),
        ("0\n200\n100\n", "line 3"),
        ("0\n" + "9" * 16 + "\n", "line 2"),
        ("", "empty"),
    ],
)
def test_a_bad_trace_names_the_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(BadTrace, match=line):
        read_trace(written(tmp_path, text))


def test_a_bad_trace_repeats_nothing_of_its_content(tmp_path: Path) -> None:
    with pytest.raises(BadTrace) as failure:
        read_trace(written(tmp_path, "0\nsecret\n"))
    assert "secret" not in str(failure.value)


def test_the_same_seed_writes_the_same_trace() -> None:
    assert generated_trace(minutes=2, seed=7) == generated_trace(minutes=2, seed=7)
    assert generated_trace(minutes=2, seed=7) != generated_trace(minutes=2, seed=8)


def test_a_generated_trace_ascends_for_as_long_as_asked() -> None:
    times = generated_trace(minutes=30)
    assert times == sorted(times)
    assert times[-2] < 30 * 60_000 <= times[-1]


def test_a_generated_trace_pauses_as_people_do() -> None:
    """Some 6 % of gaps over 1 s, 3 % over 2 s, 2 % over 3 s, 1 % over 8 s: each within a third."""
    times = generated_trace(minutes=600)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for over_ms, share in ((1000, 0.06), (2000, 0.03), (3000, 0.02), (8000, 0.01)):
        assert sum(gap > over_ms for gap in gaps) / len(gaps) == pytest.approx(share, rel=1 / 3)


def test_an_endless_trace_begins_as_the_generated_one_of_its_seed() -> None:
    times = generated_trace(minutes=3, seed=5)
    assert list(islice(endless_trace(seed=5), len(times))) == times


@pytest.mark.parametrize(
    "content", [b"0\n5\n", gzip.compress(b"0\n5\n", mtime=0)[:-9], b"\x1f\x8b\x08\x00rubbish"]
)
def test_a_file_that_only_calls_itself_packed_is_a_bad_trace(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.txt.gz"
    path.write_bytes(content)
    with pytest.raises(BadTrace, match="gzip"):
        read_trace(path)
