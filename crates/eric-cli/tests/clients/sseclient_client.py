"""sseclient-py through a faulty network: `sseclient_client.py URL COUNT`.

sseclient-py parses any iterable of byte chunks; connecting and reconnecting are its user's part.
"""

import sys

import httpx
from sseclient import SSEClient

from numbered import Numbered


def main(url, count):
    numbered = Numbered(count)
    with httpx.Client(timeout=httpx.Timeout(30), trust_env=False) as client:
        while not numbered.is_done:
            headers = {"Accept": "text/event-stream", **numbered.headers()}
            try:
                with client.stream("GET", url, headers=headers) as response:
                    response.raise_for_status()
                    for event in SSEClient(response.iter_bytes()).events():
                        numbered.take(event.event, event.data, event.id)
                        if numbered.is_done:
                            break
            except httpx.TransportError:
                continue  # the reset; `headers` says where to go on
    numbered.report()


main(sys.argv[1], int(sys.argv[2]))
