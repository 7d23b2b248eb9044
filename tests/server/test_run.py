"""The socket, the deadlines of connections, and how a server stops."""

from __future__ import annotations

import pytest

from ostinato.errors import UsageError
from ostinato.server.limits import Limits
from ostinato.server.run import listen


class TestListen:
    def test_a_port_that_is_taken_is_one_sentence(self) -> None:
        with (
            listen("127.0.0.1", 0, limits=Limits()) as first,
            pytest.raises(UsageError, match=r"port \d+: another program listens there"),
        ):
            listen("127.0.0.1", first.getsockname()[1], limits=Limits())

    @pytest.mark.parametrize(
        ("host", "port", "said"),
        [
            ("192.0.2.1", 0, "no such address"),
            ("no.such.host.invalid", 0, "--host"),
            ("127.0.0.1", 65536, "--port"),
        ],
    )
    def test_an_address_that_is_none_is_one_sentence(self, host, port, said) -> None:
        with pytest.raises(UsageError, match=said):
            listen(host, port, limits=Limits())
