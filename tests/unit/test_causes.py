import errno

import pytest

from skiploop.causes import cause_of, reason


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("
            "<pip>: Failed to establish a new connection: [Errno -3] Temporary failure in name "
            "resolution')': /simple/x/\nERROR: No matching distribution found for x==1",
            "there is no network",
        ),
        ("Got: ConnectError: [Errno -2] Name or service not known", "there is no network"),
        ("after connection broken by 'ReadTimeoutError'", "the other side does not answer"),
        ("ERROR: Exception:\nTraceback ...\nOSError: [Errno 28] No space left on device", "full"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED]", "not trusted"),
        ("ProxyError('Cannot connect to proxy.')", "proxy cannot be reached"),
    ],
)
def test_the_cause_of_a_failed_download_is_told_in_words(text, cause):
    assert cause in cause_of(text)


def test_an_unknown_cause_is_told_as_it_is_on_one_line():
    assert cause_of("ERROR: No matching distribution found for x==1") is None
    assert reason(ValueError("no\n such  thing")) == "no such thing"
    assert reason(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
