"""Many connections in one moment, a request on each: `socket_client_burst.py PATH CONNECTIONS`.

Prints a channel and waits for a line of standard input; then registers as many listeners on it, all at once, and prints
how many different ones it was given.
"""

import asyncio
import re
import sys

from eric_sse.clients import SocketClient

from socket_client import must, run, say

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def main(path, connections):
    client = SocketClient(path)
    channel = await client.create_channel()
    say(channel)
    sys.stdin.readline()
    replies = await asyncio.gather(*(client.register(channel) for _ in range(int(connections))))
    for reply in replies:
        must(UUID.fullmatch(reply), "no listener's id:", repr(reply))
    say(len(set(replies)))


run(main)
