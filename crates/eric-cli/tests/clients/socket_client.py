"""What the scripts with eric-sse's `SocketClient` share. The client is the package's, as it comes from PyPI.

A script prints what the test is to know, one JSON value a line, and ends with a traceback where something is wrong.
"""

import asyncio
import json
import sys

PATIENCE_S = 60


def run(main):
    """Runs `main` with the arguments of the script."""
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), PATIENCE_S))


def say(value):
    print(json.dumps(value), flush=True)


def must(is_so, *otherwise):
    if not is_so:
        raise AssertionError(" ".join(str(part)[:500] for part in otherwise))


async def acknowledged(request):
    reply = await request
    must(reply == "ack", "not acknowledged:", reply)


async def lines(client, channel, listener):
    """A listener's lines until the end, without the empty one that `SocketClient` may add there."""
    async for line in client.stream(channel, listener):
        if line:
            yield line


async def next_data(stream):
    """The payload of the next line of a stream that goes on."""
    try:
        line = await stream.__anext__()
    except StopAsyncIteration:
        raise AssertionError("the stream ended") from None
    must(line.startswith('{"event": '), "no frame:", line)
    return json.loads(line)["data"]


async def told_to_leave():
    """Returns when the test closes standard input."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()
