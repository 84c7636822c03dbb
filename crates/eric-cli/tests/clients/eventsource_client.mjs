// The npm package `eventsource` through a faulty network: `node eventsource_client.mjs URL COUNT`.
//
// It reconnects and resumes by itself, as a browser does. ERIC_TEST_NODE_MODULES names the folder it is installed in.
// Prints `first` when one event has arrived, and as its last line what was seen as one JSON object.

import { createRequire } from "node:module";
import { join } from "node:path";

const FAULTS_SHOWN_MAX = 10;
const modules = process.env.ERIC_TEST_NODE_MODULES;
const { EventSource } = createRequire(join(modules, "eventsource_client.js"))("eventsource");

const [url, count] = [process.argv[2], Number(process.argv[3])];
let received = 0;
let connections = 0;
let lastEventId = "";
const faults = [];

const source = new EventSource(url);

function finish() {
  source.close();
  console.log(JSON.stringify({ received, connections, faults }));
}

function fault(text) {
  faults.push(text);
  if (faults.length >= FAULTS_SHOWN_MAX) finish();
}

function take(event) {
  const expected = received + 1;
  const expectedType = expected % 2 === 0 ? "tick" : "message";
  const what = `type=${event.type} id=${event.lastEventId} data=${String(event.data).slice(0, 80)}`;
  if (source.readyState === EventSource.CLOSED) return;
  if (!event.data) return fault(`phantom event ${what}`);
  if (JSON.parse(event.data).n !== expected || event.type !== expectedType) {
    return fault(`expected n=${expected} type=${expectedType} got ${what}`);
  }
  if (!event.lastEventId || event.lastEventId === lastEventId) return fault(`no id of its own ${what}`);
  lastEventId = event.lastEventId;
  received = expected;
  if (received === 1) console.log("first");
  if (received === count) finish();
}

source.onopen = () => (connections += 1);
source.onmessage = take;
source.addEventListener("tick", take);
for (const control of ["eric.gap", "eric.replaced", "eric.removed", "eric.shutdown"]) {
  source.addEventListener(control, (event) => fault(`unexpected event type=${event.type} data=${event.data}`));
}
source.onerror = (event) => {
  if (source.readyState === EventSource.CLOSED) {
    fault(`closed for good: ${event.code ?? ""} ${event.message ?? ""}`);
    finish();
  }
};
