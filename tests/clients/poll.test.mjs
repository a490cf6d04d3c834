// tidegate.js behind what holds streams back: it asks by long-poll instead, with the same cursor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { launch, quietPage, untilText } from "./browser.mjs";
import { tidegate } from "./clients.mjs";
import { asState, Gateway } from "./gateway.mjs";
import { BUFFERING, nginx } from "./nginx.mjs";
import { publish } from "../../portal/tidegate.js";

const ROOM = "rooms/lobby/messages";
const SOON = { afterMs: 700 }; // of the 4 s that are usual; what nginx holds back it holds back for good
const LONG = "x".repeat(100);

/** Rows that fill nginx's buffers more than once, so that a stream gets stuck amid its snapshot. */
const many = (count) => Array.from({ length: count }, (_, n) => ({ id: String(n), n, text: LONG }));

test("behind an nginx that buffers, rows and events arrive by long-poll", { timeout: 90_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const proxied = await nginx(t, gateway.url, BUFFERING);
  await publish("notes/ann", many(300), { url: gateway.url });
  await gateway.publishNumbers(ROOM, 1, 3);
  const polling = (address, query, name) => tidegate(t, proxied, address, { query: { fallback: SOON, ...query }, name });
  const rows = {
    state: polling("notes/*", {}, "a snapshot that gets stuck"),
    filtered: polling("notes/*", { filter: "data.n < 3", fields: "n", mode: "patch", rate: "10/s" }, "filter, fields, mode and rate"),
    key: polling("notes/ann", { key: "7" }, "one key"),
    absent: polling("notes/ann", { key: "none" }, "a key that is not there yet"),
  };
  const events = { chat: polling(ROOM, {}, "events from now"), history: polling(ROOM, { from: "start" }, "events from the start") };
  const clients = [...Object.values(rows), ...Object.values(events)];
  await Promise.all(Object.values(rows).map((client) => client.until("the end of its rows", ({ watch }) => watch.cursor)));
  await Promise.all(Object.values(events).map((client) => client.untilOp("bookmark")));
  assert.deepEqual(clients.map(({ watch }) => watch.status.transport), clients.map(() => "poll"));
  assert.deepEqual([rows.state.watch.rows.size, rows.filtered.watch.rows.size, rows.key.watch.rows.size, rows.absent.watch.rows.size], [300, 3, 1, 0]);

  await publish("notes/ann", [{ id: "7", n: 0, text: "moved into the filter" }, { id: "0", n: 9 }, { id: "1", n: 2, text: LONG }, { id: "none", n: 9 }], { url: gateway.url });
  await gateway.publishNumbers(ROOM, 4, 6);
  await Promise.all([...Object.values(events)].map((client) => client.untilNumber(6)));
  await Promise.all(["state", "absent"].map((name) => rows[name].until("the last row", ({ frames }) => frames.some(({ op, key }) => op === "upsert" && key === "none"))));
  await rows.filtered.until("what changed in it", ({ watch }) => asState(watch.rows.values())["notes/ann 1"]?.n === 2);
  assert.deepEqual(events.history.numbers, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(events.chat.numbers, [4, 5, 6]);
  assert.deepEqual(asState(rows.filtered.watch.rows.values()), { "notes/ann 1": { n: 2 }, "notes/ann 2": { n: 2 }, "notes/ann 7": { n: 0 } });
  assert.deepEqual(asState(rows.state.watch.rows.values()), asState((await gateway.json("/v1/notes/*")).rows));
  assert.equal(asState(rows.absent.watch.rows.values())["notes/ann none"].n, 9);

  await t.test("goes on with its cursor over a kill", async () => {
    await gateway.restart();
    await gateway.publishNumbers(ROOM, 7, 9);
    await Promise.all(Object.values(events).map((client) => client.untilNumber(9)));
    assert.deepEqual([events.chat.numbers.length, events.history.numbers.length], [6, 9]);
    for (const { watch, name } of clients) assert.deepEqual([watch.lost, watch.doubled, watch.gaps], [0, 0, 0], name);
  });

  await t.test("in Chromium too, without being told how", async (t) => {
    const { page, open } = await quietPage(await launch(t), proxied);
    const client = await open(t, "tidegate.js", "notes/*");
    await client.until("the end of its rows", ({ frames }) => frames.some(({ last }) => last));
    assert.deepEqual(await page.evaluate(() => [window.watching.status.transport, window.watching.rows.size]), ["poll", 301]);
    await page.goto(`${proxied}/v1/notes/*?filter=${encodeURIComponent("data.n == 9")}`);
    await untilText(page, "#state", /^polling$/);
    await untilText(page, "#count", /[1-9] rows?$/);
  });
});

test("behind an nginx that does not, the stream stays, also over a kill", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const proxied = await nginx(t, gateway.url);
  await publish("notes/ann", many(300), { url: gateway.url });
  const clients = [tidegate(t, proxied, "notes/*", { query: { fallback: SOON } }), tidegate(t, proxied, ROOM, { query: { fallback: SOON } })];
  await clients[0].until("the end of its rows", ({ watch }) => watch.rows.size === 300);
  await clients[1].untilOp("begin");
  await gateway.publishNumbers(ROOM, 1, 1);
  await clients[1].untilNumber(1);
  // Nothing but a bookmark comes for longer than anything may be held back.
  await Promise.all(clients.map((client) => client.untilOp("bookmark")));
  await gateway.restart();
  await Promise.all(clients.map((client) => client.untilOp("begin", 2)));
  assert.deepEqual(clients.map(({ watch }) => [watch.status.transport, watch.fallbacks]), [["sse", 0], ["sse", 0]]);
});
