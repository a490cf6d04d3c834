// A loss that cannot be helped: a channel that keeps nothing on disk, and a kill. Each client is told, once, and goes on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { curl, eventSource, longPoll, python, tidegate, ws } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";

const TICKS = "ticks/a";

test("a loss is announced to every client", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const { url } = gateway;
  const { cursor } = await gateway.json(`/v1/${TICKS}`);
  const streams = [
    curl(t, url, TICKS, { format: "sse" }),
    curl(t, url, TICKS, { format: "ndjson" }),
    eventSource(t, url, TICKS),
    ws(t, url, TICKS),
    python(t, url, TICKS),
    tidegate(t, url, TICKS),
  ];
  const clients = [...streams, longPoll(t, url, TICKS, { after: cursor })];
  await Promise.all(streams.map((client) => client.untilOp("begin")));
  await gateway.publishNumbers(TICKS, 1, 3);
  await Promise.all(clients.map((client) => client.untilNumber(3)));
  await gateway.kill();
  await gateway.start();
  await gateway.publishNumbers(TICKS, 4, 6);
  await Promise.all(clients.map((client) => client.untilNumber(6)));
  for (const client of clients) {
    await t.test(client.name, () => {
      assert.deepEqual(client.numbers, [1, 2, 3, 4, 5, 6]);
      const gaps = client.frames.filter((frame) => frame.op === "gap");
      const held = client.frames.find((frame) => frame.data?.n === 3).cursor;
      assert.deepEqual(gaps.map(({ from, reason }) => [from, reason]), [[held, "ephemeral"]]);
      if (client.watch) assert.deepEqual([client.watch.gaps, client.watch.lost, client.watch.doubled], [1, 0, 0]);
    });
  }
});
