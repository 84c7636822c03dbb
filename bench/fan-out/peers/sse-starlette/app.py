"""A channel per path with a queue per stream: GET /NAME is a stream, POST /NAME publishes its body to all streams."""

import asyncio
from collections import defaultdict

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

channels = defaultdict(set)


async def ready(request):
    return Response()


async def publish(request):
    message = (await request.body()).decode()
    for queue in channels[request.path_params["name"]]:
        queue.put_nowait(message)
    return Response(status_code=202)


async def subscribe(request):
    queue = asyncio.Queue()
    queues = channels[request.path_params["name"]]
    queues.add(queue)

    async def events():
        try:
            while True:
                yield {"data": await queue.get()}
        finally:
            queues.discard(queue)

    return EventSourceResponse(events())


app = Starlette(
    routes=[
        Route("/", ready),
        Route("/{name}", publish, methods=["POST"]),
        Route("/{name}", subscribe),
    ]
)
