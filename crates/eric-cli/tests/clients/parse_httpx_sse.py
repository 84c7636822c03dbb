"""Reads streams, each a list of chunks in hexadecimal on a line of standard input, as httpx-sse does; prints events."""

import json
import sys

import httpx
from httpx_sse import EventSource


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        return iter(self.chunks)


for line in sys.stdin:
    chunks = [bytes.fromhex(chunk) for chunk in json.loads(line)]
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, stream=Chunks(chunks))
    events = [[event.event, event.data, event.id] for event in EventSource(response).iter_sse()]
    print(json.dumps(events))
