// A proxy that nobody tuned: it speaks HTTP/1.0 to us and buffers; events must pass it at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { curl, tidegate } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { nginx } from "./nginx.mjs";

test("events pass Debian's nginx while the connection is open", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const proxied = await nginx(t, gateway.url);
  const clients = [
    curl(t, proxied, "rooms/lobby/messages", { format: "sse" }),
    curl(t, proxied, "rooms/lobby/messages", { format: "ndjson" }),
    tidegate(t, proxied, "rooms/lobby/messages"),
  ];
  await Promise.all(clients.map((client) => client.untilOp("begin")));
  for (let n = 1; n <= 5; n++) {
    await gateway.publishNumbers("rooms/lobby/messages", n, n); // each must be seen before the next is written
    await Promise.all(clients.map((client) => client.untilNumber(n)));
  }
  for (const client of clients) {
    assert.deepEqual(client.numbers, [1, 2, 3, 4, 5]);
    assert.deepEqual(client.ends, [], `${client.name} was cut`);
  }
  await t.test("a bookmark keeps the connection", async () => {
    await Promise.all(clients.map((client) => client.untilOp("bookmark")));
    assert.deepEqual(clients.flatMap((client) => client.ends), []);
  });
});
