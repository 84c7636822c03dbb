"""One `SocketClient.stream`: `socket_client_stream.py PATH CHANNEL LISTENER COUNT`.

Prints each line as it comes, and leaves after COUNT of them, or at the end of the stream.
"""

from eric_sse.clients import SocketClient

from socket_client import lines, run, say


async def main(path, channel, listener, count):
    seen = 0
    async for line in lines(SocketClient(path), channel, listener):
        say(line)
        seen += 1
        if seen == int(count):
            break


run(main)
