"""The eric-api routes with httpx and a parser of streams: `eric_api_client.py httpx-sse|sseclient-py HUB`.

Reads a command a line and replies with a line, both JSON, until its input ends. What commands and replies there are is
told in `it/eric_api/puppet.rs`. Requests are made beside open streams, as with any connection pool.
"""

import json
import sys

import httpx
from httpx_sse import EventSource
from sseclient import SSEClient

PARSERS = {
    "httpx-sse": lambda response: EventSource(response).iter_sse(),
    "sseclient-py": lambda response: SSEClient(response.iter_bytes()).events(),
}


class Stream:
    def __init__(self, client, parser, path):
        self.client = client
        self.parser = parser
        self.path = path
        self.last_event_id = None

    def open(self):
        headers = {"Accept": "text/event-stream"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        response = self.client.send(self.client.build_request("GET", self.path, headers=headers), stream=True)
        if response.status_code != 200:
            response.close()
            return {"refused": response.status_code}
        self.events = self.parser(response)
        return {"open": True}

    def next(self):
        event = next(self.events, None)
        if event is None:
            return {"ended": True}
        self.last_event_id = event.id
        return {"type": event.event, "data": event.data, "id": event.id}


class Commands:
    def __init__(self, parser, client):
        self.parser = parser
        self.client = client
        self.streams = {}

    def request(self, method, path, type=None, body=None):
        headers = {"Content-Type": type} if type else {}
        answer = self.client.request(method, path, headers=headers, content=body)
        return {"status": answer.status_code, "body": answer.text}

    def open(self, stream, path, types):
        self.streams[stream] = Stream(self.client, self.parser, path)
        return self.streams[stream].open()

    def next(self, stream):
        return self.streams[stream].next()

    def again(self, stream):
        return self.streams[stream].open()

    def parse(self, data):
        return json.loads(data)


def main(parser, hub):
    timeout = httpx.Timeout(30)
    with httpx.Client(base_url=hub, timeout=timeout, trust_env=False, follow_redirects=True) as client:
        commands = Commands(PARSERS[parser], client)
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(commands, command.pop("do"))(**command)), flush=True)


main(sys.argv[1], sys.argv[2])
