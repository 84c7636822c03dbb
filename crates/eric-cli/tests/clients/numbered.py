"""What both Python clients check: every number once and in order, and no event that nobody published.

`Numbered.take` is called with each event that a library yields. `first` on standard output tells the test
that one event has arrived; `report` prints what was seen as one JSON object, the last line of the output.
"""

import json

CONTROL_PREFIX = "eric."
FAULTS_SHOWN_MAX = 10


class Numbered:
    def __init__(self, count):
        self.count = count
        self.received = 0
        self.connections = 0
        self.last_event_id = None
        self.faults = []

    @property
    def is_done(self):
        return self.received >= self.count or len(self.faults) >= FAULTS_SHOWN_MAX

    def headers(self):
        """Of the next connection: resumes after the last event that was handled."""
        self.connections += 1
        return {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}

    def take(self, event_type, data, event_id):
        expected = self.received + 1
        expected_type = "tick" if expected % 2 == 0 else "message"
        what = f"type={event_type!r} id={event_id!r} data={data[:80]!r}"
        if not data:
            self.faults.append(f"phantom event {what}")
            return
        if event_type.startswith(CONTROL_PREFIX) or event_type not in ("tick", "message"):
            self.faults.append(f"unexpected event {what}")
            return
        number = json.loads(data).get("n")
        if number != expected or event_type != expected_type:
            self.faults.append(f"expected n={expected} type={expected_type} got {what}")
            return
        if not event_id or event_id == self.last_event_id:
            self.faults.append(f"no id of its own {what}")
            return
        self.last_event_id = event_id
        self.received = number
        if number == 1:
            print("first", flush=True)

    def report(self):
        print(json.dumps({"received": self.received, "connections": self.connections, "faults": self.faults}))
