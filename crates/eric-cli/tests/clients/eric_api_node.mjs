// The eric-api routes with the npm package `eventsource`: `node eric_api_node.mjs HUB`, a command and a reply a line.

import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { commands } from "./eric_api_commands.mjs";

const modules = process.env.ERIC_TEST_NODE_MODULES;
const { EventSource } = createRequire(join(modules, "eric_api_node.js"))("eventsource");

const reply = commands(process.argv[2], EventSource);
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await reply(JSON.parse(line))));
}
process.exit(0); // whatever its streams still try
