"""Lanes that wait for a record that does not come are noticed, each by itself."""

from storelog.projector.receive.alarm import ALARM_SECONDS, Alarm


def test_a_lane_that_moves_does_not_hide_one_that_stands() -> None:
    alarm = Alarm()
    stuck: dict[int, int] = {}
    for second in range(round(ALARM_SECONDS) + 2):
        stuck |= alarm.stuck({0: 7, 1: second}, float(second))
    assert stuck == {0: 7}


def test_a_lane_that_got_its_record_begins_anew() -> None:
    alarm = Alarm()
    assert alarm.stuck({0: 7}, 0) == {}
    assert alarm.stuck({}, 9) == {}
    assert alarm.stuck({0: 7}, 11) == {}
    assert alarm.stuck({0: 8}, 20) == {}
    assert alarm.stuck({0: 8}, 29) == {}
    assert alarm.stuck({0: 8}, 31) == {0: 8}


def test_it_sounds_again_but_a_place_is_read_again_once() -> None:
    alarm = Alarm()
    alarm.stuck({0: 7, 2: 5}, 0)
    first = alarm.stuck({0: 7, 2: 5}, 11)
    assert (first, alarm.to_read_again(first)) == ({0: 7, 2: 5}, [0, 2])
    assert alarm.stuck({0: 7, 2: 5}, 12) == {}
    second = alarm.stuck({0: 7, 2: 5}, 22)
    assert (second, alarm.to_read_again(second)) == ({0: 7, 2: 5}, [])
    alarm.stuck({0: 9}, 23)
    third = alarm.stuck({0: 9}, 34)
    assert alarm.to_read_again(third) == [0]


def test_the_time_in_which_lanes_stood_still_for_a_change_does_not_count() -> None:
    alarm = Alarm()
    assert alarm.stuck({0: 7}, 0) == {}
    alarm.reset()
    assert alarm.stuck({0: 7}, 30) == {}
    assert alarm.stuck({0: 7}, 41) == {0: 7}
