"""Log lines and progress bars."""

import logging

from eddpm.io.log import progress


def test_a_message_is_one_line_with_the_time_and_leaves_standard_output_alone(capsys):
    logging.getLogger("eddpm.stages").info("100 images")
    captured = capsys.readouterr()
    assert captured.out == ""
    clock, _, text = captured.err.partition(" ")
    assert text == "100 images\n"
    assert [len(part) for part in clock.split(":")] == [2, 2, 2]


def test_progress_is_silent_where_there_is_no_terminal_and_gives_every_item(capsys):
    assert list(progress(range(5), unit="batch")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")
