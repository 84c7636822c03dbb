"""The Python package's side: prints messages a second of processor time.

Arguments: job, repetitions, messages at once, messages in all.
"""

import asyncio
import sys
import time

from eric_sse.message import Message
from eric_sse.prefabs import DataProcessingChannel, SSEChannel

LISTENERS = 1_000
MESSAGE = Message("greeting", "hello, world")


def started(channel):
    listener = channel.add_listener()
    listener.start()
    return listener


def one(repetitions, at_once):
    channel = SSEChannel()
    bob = started(channel)
    begun = time.process_time()
    for _ in range(repetitions):
        for _ in range(at_once):
            channel.dispatch(bob.id, MESSAGE)
        for _ in range(at_once):
            channel.deliver_next(bob.id)
    return time.process_time() - begun


def broadcast(repetitions, at_once):
    channel = SSEChannel()
    ids = [started(channel).id for _ in range(LISTENERS)]
    begun = time.process_time()
    for _ in range(repetitions):
        for _ in range(at_once):
            channel.broadcast(MESSAGE)
        for listener_id in ids:
            for _ in range(at_once):
                channel.deliver_next(listener_id)
    return time.process_time() - begun


def fill(channel, listener, queued):
    for _ in range(queued):
        channel.dispatch(listener.id, MESSAGE)


def drain(repetitions, queued):
    async def drained(channel, bob):
        count = 0
        async for _ in channel.message_stream(bob):
            count += 1
            if count == queued:
                return

    spent = 0
    for _ in range(repetitions):
        channel = SSEChannel()
        bob = started(channel)
        fill(channel, bob, queued)
        begun = time.process_time()
        asyncio.run(drained(channel, bob))
        spent += time.process_time() - begun
    return spent


def process(repetitions, queued):
    async def processed(channel, bob):
        return len([None async for _ in channel.process_queue(bob)])

    spent = 0
    for _ in range(repetitions):
        channel = DataProcessingChannel(max_workers=6)
        bob = started(channel)
        fill(channel, bob, queued)
        begun = time.process_time()
        assert asyncio.run(processed(channel, bob)) == queued
        spent += time.process_time() - begun
    return spent


if __name__ == "__main__":
    job, repetitions, at_once, messages = sys.argv[1], *map(int, sys.argv[2:])
    print(messages / globals()[job](repetitions, at_once))
