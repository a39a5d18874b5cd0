"""Log lines and progress bars."""

import logging

from eddpm.io import log
from eddpm.io.log import followed, progress


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


def test_a_log_file_has_lines_of_the_time_that_is_left_no_more_than_one_a_minute(capsys, monkeypatch):
    clock = iter([0, 30, 70, 80, 200])
    monkeypatch.setattr(log.time, "monotonic", lambda: next(clock))
    batches = [[0] * 1000, [0] * 1000, [0] * 1000, [0] * 500]
    assert list(followed(batches, 3500, "image")) == batches
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.partition(" ")[2] for line in captured.err.splitlines()] == [
        "2,000 of 3,500 images, about 00:52 left",
    ]
