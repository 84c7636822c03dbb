"""Many clients at once, each with its own listener and stream: `socket_client_crowd.py PATH CLIENTS`.

Each gets what was dispatched to it and all that was broadcast, in order and once. Prints how many lines came.
"""

import asyncio

from eric_sse.clients import SocketClient

from socket_client import acknowledged, lines, must, next_data, run, say

BROADCASTS = 20
DISPATCHES = 5


class Member:
    def __init__(self, path, channel, number):
        self.client = SocketClient(path)
        self.channel = channel
        self.number = number

    async def register(self):
        self.listener = await self.client.register(self.channel)

    async def dispatch(self):
        for n in range(DISPATCHES):
            payload = ["own", self.number, n]
            await acknowledged(self.client.dispatch(self.channel, self.listener, "own", payload))

    async def read(self):
        self.stream = lines(self.client, self.channel, self.listener)
        seen = [await next_data(self.stream) for _ in range(BROADCASTS + DISPATCHES)]
        own = [payload for payload in seen if payload[0] == "own"]
        must(own == [["own", self.number, n] for n in range(DISPATCHES)], "to", self.number, "dispatched:", own)
        news = [payload for payload in seen if payload[0] == "news"]
        must(news == [["news", n] for n in range(BROADCASTS)], "to", self.number, "broadcast:", news)
        return len(seen)

    async def rest(self):
        return [line async for line in self.stream]


async def broadcast(client, channel):
    for n in range(BROADCASTS):
        await acknowledged(client.broadcast_message(channel, "news", ["news", n]))


async def main(path, clients):
    client = SocketClient(path)
    channel = await client.create_channel()
    members = [Member(path, channel, number) for number in range(int(clients))]
    await asyncio.gather(*(member.register() for member in members))
    reading = [asyncio.create_task(member.read()) for member in members]
    await asyncio.gather(broadcast(client, channel), *(member.dispatch() for member in members))
    seen = sum(await asyncio.gather(*reading))
    await acknowledged(client.remove_channel(channel))
    for member in members:
        must(await member.rest() == [], "to", member.number, "more than everything")
    say(seen)


run(main)
