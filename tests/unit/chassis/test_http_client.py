"""What the client to partners takes for an answer: whole, well-formed HTTP, and nothing else."""

import pytest

from services.chassis.http_client import NoAnswer, read_answer

HEAD = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
WITH_LENGTH = HEAD + b"content-length: 7\r\n\r\n" + b'{"a":1}'
CHUNKED = HEAD + b'transfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\n\r\n'
TRAILERS = CHUNKED[:-2] + b"checksum: 7\r\n\r\n"


@pytest.mark.parametrize("received", [WITH_LENGTH, CHUNKED, TRAILERS])
def test_an_answer_is_the_same_however_its_length_is_told(received: bytes) -> None:
    answer = read_answer(received)
    assert answer is not None
    assert (answer.status, answer.body) == (202, b'{"a":1}')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("received", [WITH_LENGTH, CHUNKED, TRAILERS])
def test_no_beginning_of_an_answer_is_taken_for_the_whole(received: bytes) -> None:
    assert all(read_answer(received[:end]) is None for end in range(len(received)))


def test_a_broken_connection_does_not_make_half_a_body_whole() -> None:
    assert read_answer(WITH_LENGTH[:-1], closed=True) is None
    assert read_answer(CHUNKED[:-5], closed=True) is None


def test_a_body_of_no_stated_length_ends_with_the_connection() -> None:
    received = HEAD + b"\r\nrest"
    assert read_answer(received) is None
    answer = read_answer(received, closed=True)
    assert answer is not None
    assert answer.body == b"rest"


def test_no_content_has_no_body() -> None:
    answer = read_answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answer is not None
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 99999999999\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n-5\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_not_http_is_no_answer(received: bytes) -> None:
    with pytest.raises(NoAnswer):
        read_answer(received)
