// A watch that changes what it shows: over tidegate.js, and with `do: change` on a WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";
import { tidegate, ws } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { publish } from "../../portal/tidegate.js";

const ROWS = "notes/ann";

async function begin(t) {
  const { url } = await Gateway.start(t);
  const put = (id, data) => publish(ROWS, { id, ...data }, { url, key: id });
  for (const [id, n] of [["a", 1], ["b", 2], ["c", 3]]) await put(id, { n, text: "long ".repeat(20) });
  return { url, put };
}

const keys = (rows) => [...rows.values()].map(({ key }) => key).sort();

for (const format of ["sse", "ndjson"]) {
  test(`tidegate.js over ${format}: another view comes anew, another manner goes on`, { timeout: 60_000 }, async (t) => {
    const { url, put } = await begin(t);
    const client = tidegate(t, url, ROWS, { format, query: { filter: "data.n > 1" } });
    const { watch } = client;
    const shows = (...wanted) => client.until(`rows ${wanted}`, () => String(keys(watch.rows)) === String(wanted));
    await shows("b", "c");
    watch.change({ filter: "data.n < 3" });
    await shows("a", "b");
    const resets = client.frames.filter(({ op }) => op === "reset").length;
    watch.change({ filter: "data.n < 3", mode: "patch" });
    await client.until("another begin", ({ frames }) => frames.filter(({ op }) => op === "begin").length === 3);
    await put("b", { n: 0, text: "long ".repeat(20) });
    await client.until("a patch", ({ frames }) => frames.some(({ patch }) => patch?.n === 0));
    assert.equal(client.frames.filter(({ op }) => op === "reset").length, resets, "the same view has no reset");
    watch.change();
    await shows("a", "b", "c");
    watch.change({ filter: "data.n >" });
    await assert.rejects(watch.done, ({ problem }) => problem.code === "invalid" && problem.column > 0);
  });
}

test("a WebSocket of one watch: do change", { timeout: 60_000 }, async (t) => {
  const { url, put } = await begin(t);
  const client = ws(t, url, ROWS, { query: { filter: "data.n > 1" } });
  const say = (message) => client.socket.send(JSON.stringify(message));
  const since = (wanted) => {
    const at = client.frames.findIndex(({ ref }) => ref === wanted);
    return at < 0 ? [] : client.frames.slice(at);
  };
  const rows = (frames) => frames.filter(({ op, last }) => op === "snapshot" && !last).map(({ key }) => key);
  await client.until("two rows", ({ frames }) => frames.some(({ last }) => last));
  say({ do: "change", ref: 1, filter: "data.n < 3" });
  await client.until("other rows", () => since(1).some(({ last }) => last));
  assert.deepEqual(since(1)[0], { op: "done", ref: 1 });
  assert.deepEqual(since(1).slice(1, 3).map(({ op, reason }) => [op, reason]), [["begin", undefined], ["reset", "view"]]);
  assert.deepEqual(rows(since(1)), ["a", "b"]);
  say({ do: "change", ref: 2, filter: "data.n <" });
  say({ do: "change", ref: 3, watch: "w1" });
  say({ do: "change", ref: 4, filter: "data.n < 3", mode: "patch" });
  await client.until("the third answer", () => client.frames.some(({ ref }) => ref === 4));
  assert.deepEqual([2, 3, 4].map((ref) => since(ref)[0].op), ["problem", "problem", "done"]);
  await put("a", { n: 2, text: "long ".repeat(20) });
  await client.until("a patch", () => since(4).some(({ patch }) => patch?.n === 2));
  assert.equal(since(4).some(({ op }) => op === "reset"), false, "the same view has no reset");
  assert.equal(client.ends.length, 0, "all on one connection");
});
