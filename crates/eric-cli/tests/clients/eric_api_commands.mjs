// Does with the eric-api routes of a hub what it is told: requests by `fetch`, streams by an EventSource.
//
// Node and the browser share this; `eric_api_client.py` does the same. What commands and replies there are is told in
// `it/eric_api/puppet.rs`.

class Stream {
  #told = [];
  #wake = () => {};

  constructor(EventSource, url, types) {
    const source = new EventSource(url);
    source.onopen = () => this.#tell({ open: true });
    source.onerror = (event) => {
      const isOver = source.readyState === EventSource.CLOSED;
      this.#tell(isOver ? { refused: event.code ?? null } : { ended: true });
    };
    for (const type of new Set(types)) {
      source.addEventListener(type, (event) => {
        this.#tell({ type: event.type, data: event.data, id: event.lastEventId });
      });
    }
  }

  #tell(news) {
    this.#told.push(news);
    this.#wake();
  }

  async next() {
    while (this.#told.length === 0) await new Promise((wake) => (this.#wake = wake));
    return this.#told.shift();
  }
}

// Returns what replies to a command.
export function commands(hub, EventSource) {
  const streams = new Map();
  return async (command) => {
    switch (command.do) {
      case "request": {
        const headers = command.type ? { "Content-Type": command.type } : {};
        const answer = await fetch(hub + command.path, { method: command.method, headers, body: command.body });
        return { status: answer.status, body: await answer.text() };
      }
      case "open":
        streams.set(command.stream, new Stream(EventSource, hub + command.path, command.types));
        return streams.get(command.stream).next();
      case "next":
      case "again": // an EventSource goes back by itself
        return streams.get(command.stream).next();
      case "parse":
        return JSON.parse(command.data);
    }
  };
}
