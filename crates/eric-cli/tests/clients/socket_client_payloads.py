"""Every type of JSON there and back: `socket_client_payloads.py PATH`.

A line has to be, to the byte, what Python's `json.dumps` makes of its contents. Prints how many were.
"""

import asyncio
import json
import math
import random
import struct

from eric_sse.clients import SocketClient

from socket_client import acknowledged, lines, must, run, say

RETRY_MS = 3000
RANDOM = 300
LINE_BYTES_MAX = 8 << 20

NUMBERS = [
    0, 1, -1, 2**31, -(2**63), 2**64, 10**39 + 7, -(10**39), 9 * 10**4000,
    0.0, -0.0, 0.1, 1.0, -2.5, 1e16, 1e22, 1e23, 1e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
]
STRINGS = [
    "", " ", "Hi there!", "line\nline\r\nline\r", "\n", "\t\b\f\v", '"', "'", "\\", '\\"', "\\n", "\\u0041", "/", "</a>",
    "".join(map(chr, range(0x20))), "\x7f\x80\x9f\xa0", "é ü ß", "世界", "🙂", "👩‍👩‍👧", "\u2028\u2029", "\ufeff\ufffe\uffff",
    "\U0010ffff", "\ud800", "\udfff", "a\ud83d", "\ude00z", "\ude00\ud83d", "\ud800🙂\udc00", '{"event": "x"}\n',
    "x" * 60_000,
]
CONTAINERS = [
    [], {}, [[]], [{}], {"": []}, {"a": {}}, [None, True, False], [1, [2.5, ["3"]]], {"b": 1, "a": 2, "10": 3, "9": 4},
    {"é": "é", "\n": "\n", '"': '"', "🙂": "🙂", "\ud800": "\ud800", "\x7f": 0, "__proto__": None},
    {"event": "x", "retry": 5, "data": {"event": 1}},
]
TYPES = [
    "ty", "", " ", "message", "größe", "世界 🙂", "a\"b'c\\d", "id: 1", "tab\there", "\x01\x7f\x80\u2028", "Eric.x",
    "x" * 8192,
]


def deep(levels):
    payload = None
    for _ in range(levels):
        payload = [payload]
    return payload


def anything(chance, depth=0):
    """A JSON value by chance, with the odd float and the odd character."""
    kind = chance.randrange(8 if depth < 5 else 6)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return chance.randrange(-(10 ** chance.randrange(1, 60)), 10 ** chance.randrange(1, 60))
    if kind == 2:
        number = struct.unpack("d", chance.randbytes(8))[0]
        return number if math.isfinite(number) else 0.5
    if kind <= 5:
        return text(chance)
    if kind == 6:
        return [anything(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {text(chance): anything(chance, depth + 1) for _ in range(chance.randrange(5))}


def text(chance):
    # Of surrogates only low ones: beside a high one, two would be one character.
    planes = [(0, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xDC00, 0xE000), (0xE000, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(chance.randrange(*chance.choice(planes))) for _ in range(chance.randrange(8)))


def megabyte():
    leaf = {"é": "🙂\n\"\\", "n": 10**39 + 7, "x": [1.5, None, True, False, {"": -0.0}]}
    payload = [leaf] * 10_000
    for level in range(100):
        payload = {"level": level, "inner": payload} if level % 2 else [payload]
    return payload


def check(line, message_type, payload):
    expected = json.dumps({"event": message_type, "retry": RETRY_MS, "data": payload}) + "\n"
    must(line == expected, "expected", repr(expected), "but got", repr(line))
    frame = json.loads(line)
    must(json.dumps(frame) + "\n" == line, "not as Python spells it:", repr(line))
    must(frame["event"] == message_type and frame["data"] == payload, "not equal:", repr(line))


async def small(client, channel):
    """What `SocketClient` can read: lines of up to 64 KiB."""
    listener = await client.register(channel)
    chance = random.Random(0x0E71C)
    payloads = [None, True, False, deep(128), *NUMBERS, *STRINGS, *CONTAINERS]
    payloads += [anything(chance) for _ in range(RANDOM)]
    messages = [("ty", payload) for payload in payloads] + [(message_type, message_type) for message_type in TYPES]
    stream = lines(client, channel, listener)
    for number, (message_type, payload) in enumerate(messages):
        # In turns, so that both ways to publish are gone.
        if number % 2:
            await acknowledged(client.dispatch(channel, listener, message_type, payload))
        else:
            await acknowledged(client.broadcast_message(channel, message_type, payload))
        check(await stream.__anext__(), message_type, payload)
    return len(messages)


async def large(client, path, channel):
    """A line of a megabyte. `SocketClient.stream` cannot read one of more than 64 KiB (flaw F-9: a ValueError of the
    reader that it opens with asyncio's default limit), so a reader of asyncio's with a higher limit does."""
    listener = await client.register(channel)
    payload = megabyte()
    await acknowledged(client.dispatch(channel, listener, "large", payload))
    reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
    writer.write(json.dumps({"v": "l", "c": channel, "r": listener}).encode())
    writer.write_eof()
    line = (await reader.readline()).decode()
    must(len(line) > 1_000_000, "only", len(line), "bytes")
    check(line, "large", payload)
    await acknowledged(client.remove_listener(channel, listener))
    must(await reader.read() == b"", "more than the end")
    writer.close()
    return 1


async def main(path):
    client = SocketClient(path)
    channel = await client.create_channel()
    say(await small(client, channel) + await large(client, path, channel))


run(main)
