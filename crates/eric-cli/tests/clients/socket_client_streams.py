"""Streams that are open at once: `socket_client_streams.py PATH STREAMS`.

Each has a listener of its own, and has had one line when the script prints `{"channel", "listeners"}`. Then each line
that comes is printed as `[listener, line]` and each end as `[listener]`. Ends with the last stream, or leaves when
standard input is closed.
"""

import asyncio

from eric_sse.clients import SocketClient

from socket_client import acknowledged, lines, must, next_data, run, say, told_to_leave


async def open_stream(client, channel):
    listener = await client.register(channel)
    await acknowledged(client.dispatch(channel, listener, "greeting", listener))
    stream = lines(client, channel, listener)
    must(await next_data(stream) == listener, "another one's greeting")
    return listener, stream


async def follow(listener, stream):
    async for line in stream:
        say([listener, line])
    say([listener])


async def follow_all(opened):
    await asyncio.gather(*(follow(listener, stream) for listener, stream in opened))


async def main(path, streams):
    client = SocketClient(path)
    channel = await client.create_channel()
    opened = [await open_stream(client, channel) for _ in range(int(streams))]
    say({"channel": channel, "listeners": [listener for listener, _ in opened]})
    following = asyncio.create_task(follow_all(opened))
    leaving = asyncio.create_task(told_to_leave())
    await asyncio.wait([following, leaving], return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()


run(main)
