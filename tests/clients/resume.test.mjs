// One address, every client, and a server that is killed, killed in the midst of publishing, and drained: each client
// has every event once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { IN_BROWSER, launch, quietPage } from "./browser.mjs";
import { curl, eventSource, longPoll, python, tidegate, ws } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { nginx } from "./nginx.mjs";

const ROOM = "rooms/lobby/messages";
const numbers = (last) => Array.from({ length: last }, (_, at) => at + 1);

test("every client has every event once, over kill -9 and drain", { timeout: 90_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const proxied = await nginx(t, gateway.url);
  const browser = await quietPage(await launch(t), gateway.url);
  const { cursor } = await gateway.json(`/v1/${ROOM}`);
  const { url } = gateway;
  const streams = [
    curl(t, url, ROOM, { format: "sse" }),
    curl(t, url, ROOM, { format: "ndjson" }),
    curl(t, url, ROOM, { format: "sse", coding: "gzip" }),
    curl(t, url, ROOM, { format: "ndjson", coding: "zstd" }),
    curl(t, proxied, ROOM, { format: "sse", name: "curl sse through nginx" }),
    eventSource(t, url, ROOM),
    // Not EventSource: it gives up for good on the 502 of a proxy whose upstream restarts.
    tidegate(t, proxied, ROOM, { name: "tidegate.js through nginx" }),
    ws(t, url, ROOM),
    python(t, url, ROOM),
    tidegate(t, url, ROOM, { format: "sse" }),
    tidegate(t, url, ROOM, { format: "ndjson" }),
    ...(await Promise.all(IN_BROWSER.map((kind) => browser.open(t, kind, ROOM)))),
  ];
  const clients = [...streams, longPoll(t, url, ROOM, { after: cursor })];
  const all = (wait) => Promise.all(clients.map(wait));
  await Promise.all(streams.map((client) => client.untilOp("begin")));

  // Cut before the first event: `begin` said where.
  await gateway.restart();
  await gateway.publishNumbers(ROOM, 1, 20);
  await all((client) => client.untilNumber(20));

  // Cut while events are on their way.
  const publishing = gateway.publishNumbers(ROOM, 21, 200);
  await clients[0].untilNumber(80);
  await gateway.restart();
  await publishing;
  await all((client) => client.untilNumber(200));

  // An end in order.
  assert.equal(await gateway.stop(), 0);
  await Promise.all(streams.map((client) => client.untilOp("close")));
  await gateway.start();
  await gateway.publishNumbers(ROOM, 201, 220);
  await all((client) => client.untilNumber(220));

  for (const client of clients) {
    await t.test(client.name, () => {
      assert.deepEqual(client.numbers, numbers(220));
      for (const close of client.frames.filter((frame) => frame.op === "close")) {
        assert.equal(close.code, "draining");
        assert.ok(close.retry_ms >= 0, `retry_ms is ${close.retry_ms}`);
      }
      if (streams.includes(client)) assert.ok(client.ends.length >= 3, `it was cut ${client.ends.length} times`);
      if (client.watch) assert.deepEqual([client.watch.lost, client.watch.doubled, client.watch.gaps], [0, 0, 0]);
    });
  }
  await t.test("WebSocket close codes say to come back", () => {
    for (const client of clients.filter(({ name }) => /ws|websockets|WebSocket/.test(name))) assert.ok(client.ends.includes(4503), `${client.name}: ${client.ends}`);
  });
  await t.test("counters of tidegate.js in Chromium", async () => {
    const counted = await browser.page.evaluate(() => [window.watching.lost, window.watching.doubled, window.watching.gaps]);
    assert.deepEqual(counted, [0, 0, 0]);
  });
});
