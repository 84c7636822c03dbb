"""A client that does not read what it is owed: `socket_client_deaf.py PATH MESSAGES BYTES`.

It takes one line of its stream and then none, while so many messages of so many bytes are dispatched to it. Another
client's messages arrive meanwhile, each before the next ones are published. Prints how many did.
"""

from eric_sse.clients import SocketClient

from socket_client import acknowledged, lines, must, next_data, run, say, told_to_leave

TURN = 20


async def main(path, messages, size):
    client = SocketClient(path)
    channel = await client.create_channel()
    deaf = await client.register(channel)
    await acknowledged(client.dispatch(channel, deaf, "first", 0))
    unread = lines(client, channel, deaf)
    must(await next_data(unread) == 0, "not the first")
    other = await client.register(channel)
    stream = lines(client, channel, other)
    served = 0
    for n in range(int(messages)):
        await acknowledged(client.dispatch(channel, deaf, "mail", "x" * int(size)))
        if n % TURN == 0:
            await acknowledged(client.dispatch(channel, other, "turn", n))
            must(await next_data(stream) == n, "another one's turn")
            served += 1
    say(served)
    await told_to_leave()


run(main)
