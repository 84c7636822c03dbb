// Reads streams, each a list of chunks in hexadecimal on a line of standard input, as eventsource-parser does; prints
// events. It leaves the id out of events that have none of their own; the last one is kept here, as browsers do.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.ERIC_TEST_NODE_MODULES}/`);
const { createParser } = await import(pathToFileURL(require.resolve("eventsource-parser")));

for await (const line of createInterface({ input: process.stdin })) {
  const events = [];
  let lastId = "";
  const parser = createParser({
    onEvent: ({ event = "message", data, id }) => {
      lastId = id ?? lastId;
      events.push([event, data, lastId]);
    },
  });
  const decoder = new TextDecoder();
  for (const chunk of JSON.parse(line)) parser.feed(decoder.decode(Buffer.from(chunk, "hex"), { stream: true }));
  console.log(JSON.stringify(events));
}
