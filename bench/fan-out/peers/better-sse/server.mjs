// A channel per path, with Node's own HTTP server: GET /NAME is a stream, POST /NAME publishes its body to all streams.
import { once } from "node:events"
import { createServer } from "node:http"
import { createChannel, createSession } from "better-sse"

const channels = new Map()

function channel(name) {
    if (!channels.has(name)) channels.set(name, createChannel())
    return channels.get(name)
}

async function publish(request, response) {
    let body = ""
    request.setEncoding("utf8").on("data", (part) => (body += part))
    await once(request, "end")
    channel(request.url).broadcast(body)
    response.writeHead(202).end()
}

async function subscribe(request, response) {
    channel(request.url).register(await createSession(request, response))
}

const server = createServer((request, response) => {
    if (request.method === "POST") publish(request, response)
    else if (request.url === "/") response.end()
    else subscribe(request, response)
})
// Publishers keep their connections.
server.keepAliveTimeout = 0
server.listen(Number(process.argv[2]), "127.0.0.1", 4096)
