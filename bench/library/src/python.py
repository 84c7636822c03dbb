"""The Python package's side: prints messages a second of processor time. Arguments: job, repetitions, messages."""

import asyncio
import sys
import time

from eric_sse.message import Message
from eric_sse.prefabs import DataProcessingChannel, SSEChannel

BATCH = 100
LISTENERS = 1_000
QUEUED = 10_000
MESSAGE = Message("greeting", "hello, world")


def started(channel):
    listener = channel.add_listener()
    listener.start()
    return listener


def one(repetitions, at_once=1):
    channel = SSEChannel()
    bob = started(channel)
    begun = time.process_time()
    for _ in range(repetitions):
        for _ in range(at_once):
            channel.dispatch(bob.id, MESSAGE)
        for _ in range(at_once):
            channel.deliver_next(bob.id)
    return time.process_time() - begun


def batches(repetitions):
    return one(repetitions, BATCH)


def broadcast(repetitions, at_once=1):
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


def broadcasts(repetitions):
    return broadcast(repetitions, BATCH)


def fill(channel, listener):
    for _ in range(QUEUED):
        channel.dispatch(listener.id, MESSAGE)


def drain(repetitions):
    async def drained(channel, bob):
        count = 0
        async for _ in channel.message_stream(bob):
            count += 1
            if count == QUEUED:
                return

    spent = 0
    for _ in range(repetitions):
        channel = SSEChannel()
        bob = started(channel)
        fill(channel, bob)
        begun = time.process_time()
        asyncio.run(drained(channel, bob))
        spent += time.process_time() - begun
    return spent


def process(repetitions):
    async def processed(channel, bob):
        return len([None async for _ in channel.process_queue(bob)])

    spent = 0
    for _ in range(repetitions):
        channel = DataProcessingChannel(max_workers=6)
        bob = started(channel)
        fill(channel, bob)
        begun = time.process_time()
        assert asyncio.run(processed(channel, bob)) == QUEUED
        spent += time.process_time() - begun
    return spent


if __name__ == "__main__":
    job, repetitions, messages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(messages / globals()[job](repetitions))
