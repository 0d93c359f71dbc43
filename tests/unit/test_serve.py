"""`skiploop serve` before it loads a model: what is unsafe or cannot be meant is one line."""

import pytest

from skiploop.cli.main import main
from skiploop.errors import ConfigError
from skiploop.server.errors import ApiError
from skiploop.server.keys import Keys, read_keys
from skiploop.server.limits import Limits


def line(capsys, *arguments):
    assert main(["serve", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "everybody who reaches it could ask; give --keys FILE"),
        (["--host", "example.org"], "give --keys FILE"),
        (["--policy", "3:5x0", "--policy", "1:2x2"], "are programs: give one"),
        (["--policy", "3:5"], "is not START:STOPxRUNS"),
        (["--policy", "nowhere"], "unknown policy or run folder 'nowhere'"),
        (["--keys", "/nowhere/keys"], "cannot be read"),
        (["--port", "70000"], "65535"),
        (["--rows", "0"], "--rows"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(capsys, arguments, message):
    assert message in line(capsys, *arguments)


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(capsys):
    from skiploop.server.app import bound

    with bound("127.0.0.1", 0) as sock:
        sock.listen()
        taken = str(sock.getsockname()[1])
        assert "in use" in line(capsys, "--port", taken, "--model", "nowhere/nothing")


def test_keys_are_read_one_a_line_and_short_ones_refused(tmp_path):
    file = tmp_path / "keys"
    for text, message in (
        ("# only a remark\n\n", "holds no key"),
        ("short\n", "key 1 in .* is shorter than 16 characters"),
        ("\xff" * 20, None),
    ):
        file.write_text(text, encoding="latin-1")
        with pytest.raises(ConfigError, match=message):
            read_keys(file)
    file.write_text("# of the lab\n" + "k" * 20 + "\n  " + "l" * 16 + "  \n")
    keys = read_keys(file)
    for header in ("Bearer " + "k" * 20, "bearer " + "l" * 16):
        keys.check(header)
    for header in (None, "", "Basic " + "k" * 20, "Bearer", "Bearer " + "k" * 19, "k" * 20):
        with pytest.raises(ApiError, match="a key of this server is needed"):
            keys.check(header)


def test_without_keys_everybody_may_ask():
    Keys().check(None)


@pytest.mark.parametrize("limits", [{"rows": 0}, {"waiting": True}, {"seconds": 0.0}])
def test_limits_of_nothing_are_refused(limits):
    with pytest.raises(ConfigError):
        Limits(**limits)
