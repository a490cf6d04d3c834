// A keyed channel under random writes and kills: every client's replica ends equal to the rows of the server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { IN_BROWSER, launch, quietPage } from "./browser.mjs";
import { curl, eventSource, python, tidegate, ws } from "./clients.mjs";
import { asState, Gateway } from "./gateway.mjs";
import { publish, rowId } from "../../portal/tidegate.js";

const ALL = "notes/*";
const KEYS = 40;
const WRITES = 400;

/** The same numbers for the same seed (mulberry32). */
function random(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** What a client holds that applies frames in order and starts over at a `reset`. */
function fold(frames) {
  const rows = new Map();
  for (const { op, last, address, key, data } of frames) {
    if (op === "reset") rows.clear();
    else if (op === "delete") rows.delete(rowId(address, key));
    else if (op === "upsert" || (op === "snapshot" && !last)) rows.set(rowId(address, key), { address, key, data });
  }
  return asState(rows.values());
}

/** Deletes a key, until the server says so. */
async function remove(url, address, key) {
  for (;;) {
    const answer = await fetch(`${url}/v1/${address}?key=${encodeURIComponent(key)}`, { method: "DELETE" }).catch(() => null);
    if (answer?.status === 204) return;
    if (answer && answer.status < 500) assert.fail(`DELETE is answered by ${answer.status}: ${await answer.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("every replica ends as the server's rows, over kills", { timeout: 90_000 }, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`SEED=${seed}`);
  const below = random(seed);
  const gateway = await Gateway.start(t);
  const { url } = gateway;
  const place = () => [`notes/${["ann", "b%20b", "caf%C3%A9"][below(3)]}`, String(below(KEYS))];
  const write = async (n) => {
    const [address, key] = place();
    if (below(4) === 0) await remove(url, address, key);
    else await publish(address, { n, text: "x".repeat(below(300)) }, { url, key, attempts: 30 });
  };
  const many = async (count) => {
    for (let n = 0; n < count; n++) await write(n);
  };
  await many(60); // so that there is a first snapshot

  const browser = await quietPage(await launch(t), url);
  const clients = [
    curl(t, url, ALL, { format: "sse" }),
    curl(t, url, ALL, { format: "ndjson" }),
    eventSource(t, url, ALL),
    ws(t, url, ALL),
    python(t, url, ALL),
    tidegate(t, url, ALL, { format: "sse" }),
    tidegate(t, url, ALL, { format: "ndjson" }),
    tidegate(t, url, ALL, { query: { from: "start" }, name: "tidegate.js, history" }),
    ...(await Promise.all(IN_BROWSER.map((kind) => browser.open(t, kind, ALL)))),
  ];
  await Promise.all(clients.map((client) => client.untilOp("begin")));
  const writing = many(WRITES);
  for (const seen of [60, 150]) {
    await clients[0].until(`${seen} changes`, ({ frames }) => frames.length >= seen);
    await gateway.restart();
  }
  await writing;
  await publish("notes/end", { n: 1 }, { url, key: "end", attempts: 30 });
  await Promise.all(clients.map((client) => client.until("the last write", ({ frames }) => frames.some((frame) => frame.key === "end"))));

  const { rows } = await gateway.json(`/v1/${ALL}`);
  assert.ok(rows.length > 30, "the writes left something to compare");
  const expected = asState(rows);
  for (const client of clients) {
    await t.test(client.name, () => {
      assert.deepEqual(fold(client.frames), expected);
      if (!client.watch) return;
      const history = client.name.includes("history");
      assert.deepEqual(asState(client.watch.rows.values()), history ? {} : expected);
      assert.deepEqual([client.watch.lost, client.watch.doubled, client.watch.gaps], [0, 0, 0]);
    });
  }
  await t.test("rows of tidegate.js in Chromium", async () => {
    const held = await browser.page.evaluate(() => [...window.watching.rows.values()]);
    assert.deepEqual(asState(held), expected);
  });
});
