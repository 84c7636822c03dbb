"""httpx-sse through a faulty network: `httpx_sse_client.py URL COUNT`.

httpx-sse parses one response; reconnecting is its user's part, so the loop here is what its users write.
The library yields a block without data as an event, which is what makes it a good judge of phantoms.
"""

import sys

import httpx
from httpx_sse import connect_sse

from numbered import Numbered


def main(url, count):
    numbered = Numbered(count)
    with httpx.Client(timeout=httpx.Timeout(30), trust_env=False) as client:
        while not numbered.is_done:
            try:
                with connect_sse(client, "GET", url, headers=numbered.headers()) as source:
                    source.response.raise_for_status()
                    for event in source.iter_sse():
                        numbered.take(event.event or "message", event.data, event.id)
                        if numbered.is_done:
                            break
            except httpx.TransportError:
                continue  # the reset; `headers` says where to go on
    numbered.report()


main(sys.argv[1], int(sys.argv[2]))
