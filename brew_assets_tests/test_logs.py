"""Log lines: JSON for programs, text for people, the same facts in both, and no secret in either."""

import io
import json
import logging
import re
import sys
from datetime import datetime
from pathlib import Path

import botocore.session
import msgspec
import pytest
from botocore.parsers import ResponseParserError

from brew_assets.engine.log_context import bound
from brew_assets.logs import JsonLines, LineHandler, TextLines, configure_logging
from brew_assets.settings import Secret, Settings
from brew_assets_tests.aws_profiles import Profiles, Sts
from brew_assets_tests.log_lines import Terminal, log_lines

ours = logging.getLogger("brew_assets.engine.transfer.copy_thread")
BOTTLE = {"bottle": "wget-1.25.0.arm64_sonoma.bottle.tar.gz", "reason": "network", "error": "reset\nby peer"}


def test_a_line_is_one_object_with_time_level_logger_message_and_facts() -> None:
    with log_lines() as lines, bound(sync_id="20260822T030000Z-0badcafe", platform="arm64_sonoma"):
        ours.warning("tried again", extra=BOTTLE | {"wait_s": 1.5})
        (line,) = lines.all()
        assert list(line)[:4] == ["timestamp", "level", "logger", "message"]
        assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
        assert line == {
            "level": "WARNING",
            "logger": "brew_assets.engine.transfer.copy_thread",
            "message": "tried again",
            **BOTTLE,
            "wait_s": 1.5,
            "sync_id": "20260822T030000Z-0badcafe",
            "platform": "arm64_sonoma",
        }


def test_text_says_the_same_and_ends_with_sync_platform_and_bottle() -> None:
    settings = Settings(log_format="text")
    with log_lines(settings) as lines, bound(sync_id="s-1", platform="arm64_sonoma", route="ecs"):
        ours.warning("tried again", extra=BOTTLE)
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ WARNING tried again: reset\\nby peer reason=network route=ecs "
            r"sync=s-1 platform=arm64_sonoma bottle=wget-1\.25\.0\.arm64_sonoma\.bottle\.tar\.gz\n",
            lines.text,
        )


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_credentials_that_could_not_be_refreshed_are_one_line_that_names_why_and_no_key(
    log_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sts() as sts, log_lines(Settings(log_format=log_format)) as lines:  # type: ignore[arg-type]
        Profiles(tmp_path, monkeypatch).role(sts.url, "region = us-east-1\n")
        sts.answers(200, b"<AssumeRoleResponse><SecretAccessKey>PLANTED</Secret")
        credentials = botocore.session.get_session().get_credentials()
        assert credentials is not None
        with pytest.raises(ResponseParserError):
            credentials.get_frozen_credentials()
        assert (
            "AWS credentials: assume-role: ResponseParserError: an answer that cannot be read" in lines.text
        )
        assert "Traceback" not in lines.text
        assert "PLANTED" not in lines.text
        assert lines.text.count("\n") == 1


def test_an_exception_is_within_the_line_and_below_the_text() -> None:
    for log_format, found in (("json", '"exception": "Traceback'), ("text", "\nTraceback")):
        with log_lines(Settings(log_format=log_format)) as lines:  # type: ignore[arg-type]
            try:
                raise ValueError("wrong")
            except ValueError:
                ours.exception("a mistake")
            assert found in lines.text
            assert "ValueError: wrong" in lines.text
            assert lines.text.count("\n") == 1 or log_format == "text"


def test_lines_are_ascii_and_a_terminal_is_not_moved_by_what_upstream_says() -> None:
    with log_lines() as lines:
        ours.error("not stored", extra={"error": "naïve …\x1b[2J"})
        assert lines.text.isascii()
        assert lines.all()[0]["error"] == "naïve …\x1b[2J"
    with log_lines(Settings(log_format="text")) as lines:
        ours.error("not stored", extra={"error": "\x1b[2J\x07"})
        assert lines.text.rstrip("\n").isprintable()


def test_auto_is_text_in_a_terminal_and_json_elsewhere() -> None:
    with log_lines(stream=Terminal()) as lines:
        ours.info("sync begins", extra={"planned": 3})
        # The row of a progress bar is erased first.
        assert lines.text.startswith("\r\x1b[2K2")
        assert lines.text.endswith("INFO sync begins planned=3\n")
    with log_lines() as lines:
        ours.info("sync begins", extra={"planned": 3})
        assert lines.all()[0]["planned"] == 3
    with log_lines(Settings(log_format="json"), stream=Terminal()) as lines:
        ours.info("sync begins")
        assert json.loads(lines.text.removeprefix("\r\x1b[2K"))["message"] == "sync begins"


def test_a_terminal_is_not_flooded_and_debug_shows_all() -> None:
    def sync() -> None:
        ours.info("sync begins")
        for number in range(30):
            ours.info("stored", extra={"bottle": str(number)})
            ours.error("not stored", extra={"bottle": str(number)})

    with log_lines(stream=Terminal()) as lines:
        sync()
        assert lines.text.count("INFO stored") == 0
        assert lines.text.count("ERROR not stored") == 20
        assert lines.text.count("LOG_LEVEL=DEBUG shows them") == 1
        assert "sync begins" in lines.text
    with log_lines(Settings(log_level="DEBUG"), stream=Terminal()) as lines:
        sync()
        assert (lines.text.count("INFO stored"), lines.text.count("ERROR not stored")) == (30, 30)
    with log_lines() as lines:
        sync()
        assert len(lines.all()) == 61


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("INFO", ["INFO", "WARNING", "ERROR"]),
        ("ERROR", ["ERROR"]),
    ],
)
def test_the_level_is_that_of_the_settings(level: str, expected: list[str]) -> None:
    with log_lines(Settings(log_level=level)) as lines:  # type: ignore[arg-type]
        for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
            ours.log(logging.getLevelName(name), "a line")
        assert [line["level"] for line in lines.all()] == expected


@pytest.mark.parametrize("library", ["httpx", "httpcore", "botocore", "boto3", "urllib3", "anything_else"])
def test_no_library_writes_below_warning_even_at_debug(library: str) -> None:
    with log_lines(Settings(log_level="DEBUG")) as lines:
        # Somebody lowers it afterwards.
        logging.getLogger(f"{library}.deeper").setLevel(logging.DEBUG)
        logging.getLogger(library).debug("Authorization: Bearer abc")
        logging.getLogger(library).info("GET https://hooks.slack.example/secret")
        logging.getLogger(f"{library}.deeper").info("GET https://hooks.slack.example/secret")
        logging.getLogger(library).warning("a connection was dropped")
        assert [line["message"] for line in lines.all()] == ["a connection was dropped"]


def test_a_secret_setting_is_not_readable_in_a_line() -> None:
    settings = Settings(slack_webhook_url=Secret("https://hooks.slack.example/T0/B0/abc"))
    for log_format in ("json", "text"):
        with log_lines(Settings(log_format=log_format)) as lines:
            ours.info("%s", settings, extra={"webhook": settings.slack_webhook_url})
            assert lines.text
            assert "abc" not in lines.text


def test_configuring_again_doubles_no_line_and_keeps_what_was_decided() -> None:
    with log_lines() as lines:
        stream = lines._stream
        first = configure_logging(Settings(), stream=stream)
        assert configure_logging(Settings(), stream=stream) is first
        ours.info("one")
        assert len(lines.all()) == 1
        assert configure_logging(Settings(log_level="WARNING"), stream=stream) is not first
        ours.info("none")
        ours.warning("two")
        assert [line["message"] for line in lines.all()] == ["one", "two"]


def test_a_library_with_a_handler_that_does_nothing_is_heard() -> None:
    library = logging.getLogger("a_library")
    library.addHandler(logging.NullHandler())
    with log_lines() as lines:
        library.warning("a connection was dropped")
        assert [line["message"] for line in lines.all()] == ["a connection was dropped"]


def test_lines_that_a_handler_below_the_root_writes_are_left_to_it() -> None:
    other = logging.getLogger("another_program")
    own = logging.StreamHandler(io.StringIO())
    other.addHandler(own)
    try:
        with log_lines() as lines:
            logging.getLogger("another_program.part").warning("theirs")
            assert lines.text == ""
            assert own.stream.getvalue() == "theirs\n"
    finally:
        other.removeHandler(own)


def test_without_a_stream_lines_go_to_the_standard_error_of_the_process() -> None:
    with log_lines():
        handler = configure_logging(Settings())
        assert isinstance(handler, LineHandler)
        assert handler.stream is sys.__stderr__


def test_a_stream_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with log_lines() as lines:
        lines._stream.close()
        ours.error("nobody hears this")


def test_bound_facts_nest_and_end_with_their_block() -> None:
    with log_lines() as lines:
        with bound(sync_id="1", platform="a"):
            with bound(platform="b", batch="x"):
                ours.info("inner")
            ours.info("outer", extra={"platform": "the line's own"})
        ours.info("none")
        inner, outer, none = lines.all()
        assert (inner["sync_id"], inner["platform"], inner["batch"]) == ("1", "b", "x")
        assert (outer["platform"], "batch" in outer) == ("the line's own", False)
        assert "sync_id" not in none


HOSTILE = "x\n2026-11-28 03:00:00Z INFO sync ends outcome=success\x1b[2J\x9b\u202e"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_whatever_a_text_says_a_record_is_one_line(log_format: str) -> None:
    with log_lines(Settings(log_format=log_format)) as lines, bound(platform=HOSTILE):  # type: ignore[arg-type]
        ours.error(HOSTILE, extra={"error": HOSTILE, "found": [HOSTILE], "bottle": HOSTILE})
        assert lines.text.count("\n") == 1
        assert lines.text.rstrip("\n").isprintable()
        assert lines.text.encode()


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()])
def test_half_a_character_is_written_as_an_escape(lines: logging.Formatter) -> None:
    # Not logged: pytest itself cannot hand on what it captures of this.
    facts = {"msg": "\ud800", "error": "caf\udce9", "found": {"\ud800": ["\udfff"]}}
    line = lines.format(logging.makeLogRecord(facts))
    assert line.encode()
    assert re.search(r"\\+ud800.*caf\\+udce9", line)
    if isinstance(lines, JsonLines):
        assert msgspec.json.decode(line)["error"] == "caf\\udce9"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_of_an_exceptions_text_passes_for_a_record(log_format: str) -> None:
    with log_lines(Settings(log_format=log_format)) as lines:  # type: ignore[arg-type]
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            ours.exception("a mistake")
        records = [line for line in lines.text.splitlines() if not line.startswith(("Traceback", "  "))]
        assert len(records) == 1
        assert all(line.isprintable() for line in lines.text.split("\n"))
        assert "INFO sync ends" in lines.text


def test_a_fact_with_quotes_is_quoted_so_that_it_ends_where_it_ends() -> None:
    with log_lines(Settings(log_format="text")) as lines:
        ours.error("not stored", extra={"reason": 'x" sync="forged'})
        assert lines.text.endswith(' reason="x\\" sync=\\"forged"\n')
