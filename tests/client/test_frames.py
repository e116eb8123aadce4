"""What is to be said stays bounded and in order, and answers settle exactly what they are about."""

from relay.client.frames import FRAME_BYTES, Buffer, OnTheirWay, Said


def key(number: int = 0, *, expires_at: float = 5000, size: int = 2) -> Said:
    return Said(str(number).encode().rjust(size), expires_at, is_keystroke=True)


def end(number: int = 0) -> Said:
    return Said(str(number).encode(), 15_000, is_keystroke=False)


def buffer(*said: Said, most: int = 1000) -> Buffer:
    it = Buffer(most=most)
    for one in said:
        it.put(one)
    return it


def test_a_frame_holds_the_oldest_and_no_more_than_fits() -> None:
    it = buffer(*map(key, range(5)))
    assert it.frame(0, most=3) == ([key(0), key(1), key(2)], 0)
    large = key(size=FRAME_BYTES)
    assert len(buffer(large, large).frame(0, most=50)[0]) == 1


def test_what_is_late_is_counted_and_not_sent() -> None:
    assert buffer(key(expires_at=10), key(1)).frame(10, most=50) == ([key(1)], 1)


def test_a_full_one_drops_its_oldest_keystroke_and_ends_only_if_there_is_none() -> None:
    it = buffer(end(), key(1), key(2), most=3)
    assert it.put(key(3)) is False
    assert it.frame(0, most=50)[0] == [end(), key(2), key(3)]
    ends = buffer(end(1), most=1)
    assert ends.put(end(2)) is False
    assert ends.frame(0, most=50)[0] == [end(2)]


def test_what_comes_back_stands_in_front_and_the_oldest_of_it_finds_no_room() -> None:
    it = buffer(key(3), most=3)
    assert it.put_back([key(0), key(1), key(2)]) == 1
    assert it.frame(0, most=50)[0] == [key(1), key(2), key(3)]


def test_what_comes_back_to_a_full_one_takes_the_place_of_its_keystrokes_and_not_the_other_way_round() -> (
    None
):
    """A message was dropped, and keystrokes that were said after it were kept."""
    it = buffer(end(1), key(2), most=2)
    (back, _) = it.frame(0, most=2)
    for number in (3, 4):
        it.put(key(number))
    assert it.put_back(back) == 2
    assert it.frame(0, most=50)[0] == [end(1), key(4)]
    ends = buffer(end(5), most=1)
    (back, _) = ends.frame(0, most=1)
    ends.put(end(6))
    assert (ends.put_back(back), ends.frame(0, most=50)[0]) == (1, [end(6)])


def test_what_comes_back_in_two_parts_stands_in_the_order_in_which_it_was_said() -> None:
    """Escaped because tests refused one frame at a time, and two can be on their way."""
    it = buffer(*map(key, range(6)))
    (first, _), (second, _) = it.frame(0, most=2), it.frame(0, most=2)
    assert it.put_back(first) + it.put_back(second) == 0
    assert it.frame(0, most=50)[0] == [key(number) for number in range(6)]


def test_one_that_is_to_be_alone_is_alone() -> None:
    alone = Said(b"x", 5000, is_keystroke=True, is_alone=True)
    it = buffer(key(0), alone, key(1))
    assert [it.frame(0, most=50)[0] for _ in range(3)] == [[key(0)], [alone], [key(1)]]


def test_only_later_frames_speak_after_a_refused_one() -> None:
    way = OnTheirWay()
    for session in ("before", "refused", "after"):
        way.sent([Said(b'{"sessionId":"%s"}' % session.encode(), 5000, is_keystroke=True)])
    way.refused(2)
    assert way.sessions_after(2) == ["after"]


def test_a_sum_settles_whole_frames_and_a_refused_one_is_left_out_of_it() -> None:
    way = OnTheirWay()
    for frame in ([key(0), key(1)], [key(2)], [key(3), key(4)]):
        way.sent(frame)
    assert way.acked(1) == 0
    assert way.refused(2) == [key(2)]
    assert way.refused(2) == []
    assert (way.acked(4), len(way)) == (4, 0)
    way.sent([key(5)])
    assert list(way.unanswered()) == [key(5)]
    assert way.acked(5) == 1
