"""One call of `SocketClient` after the other: `socket_client_calls.py PATH`.

Each line of standard input is `[method, argument, …]`, and is answered by the reply.
"""

import json
import sys

from eric_sse.clients import SocketClient

from socket_client import run, say


async def main(path):
    client = SocketClient(path)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        say(await getattr(client, method)(*arguments))


run(main)
