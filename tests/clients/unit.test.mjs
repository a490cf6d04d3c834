// tidegate.js by the byte: what a scripted peer can say and a healthy server does not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { peer } from "./peer.mjs";
import { publish, Replica, rowId, watch } from "../../portal/tidegate.js";

Math.random = () => 0; // no jitter: these tests are about order, and wait for nothing else

const begin = (more = {}) => ({ op: "begin", watch: "w", options: {}, heartbeat_ms: 60_000, protocol: "tidegate.v1", ...more });
const row = (key, data) => ({ op: "snapshot", address: "a/b", key, time: "2026-01-01T00:00:00.000Z", data });
const upsert = (key, data, more = {}) => ({ op: "upsert", address: "a/b", key, time: "2026-01-01T00:00:00.000Z", data, ...more });
const append = (data, more) => ({ op: "append", address: "a", time: "2026-01-01T00:00:00.000Z", data, ...more });
const close = (retry_ms) => ({ op: "close", code: "draining", message: "bye", retry_ms });

const encode = {
  ndjson: (frames, eol = "\n") => frames.map((frame) => JSON.stringify(frame) + eol).join(""),
  sse: (frames, eol = "\n") =>
    `: padding${eol}${eol}` +
    frames
      .map((frame) => {
        const data = ["snapshot", "upsert", "delete", "append", "clear"].includes(frame.op);
        const lines = [frame.cursor && `id: ${frame.cursor}`, !data && `event: ${frame.op}`, `data: ${JSON.stringify(frame)}`];
        return lines.filter(Boolean).join(eol) + eol + eol;
      })
      .join(""),
};
const media = { sse: "text/event-stream", ndjson: "application/x-ndjson" };

const state = (rows) => Object.fromEntries([...rows.values()].map((row) => [row.key, row.data]));

// A whole life of a keyed view. Frames without a cursor are not true before the next one.
const LIFE = [
  { op: "reset", reason: "start" },
  row("1", { n: "é😀" }),
  row("2", { n: 2 }),
  upsert("2", { n: "moved under the scan" }),
  { op: "delete", address: "a/b", key: "1", time: "2026-01-01T00:00:00.000Z" },
  { op: "snapshot", last: true, count: 2, cursor: "c1" },
  upsert("3", 3, { cursor: "c2", prev: "c1" }),
  upsert("4", "tick, first key"),
  upsert("5", "tick, last key", { cursor: "c4", prev: "c2" }),
  { op: "delete", address: "a/b", key: "3", time: "2026-01-01T00:00:00.000Z", cursor: "c5", prev: "c4" },
  { op: "notice", code: "schema", message: "a column came", time: "2026-01-01T00:00:00.000Z", cursor: "c6", prev: "c5" },
  { op: "bookmark", cursor: "c7", prev: "c6" },
];
const END = { 2: { n: "moved under the scan" }, 4: "tick, first key", 5: "tick, last key" };
const CHANGES = ["last", "3", "4", "5", "3"];

/** What a correct server sends to a watcher that holds `cursor`. */
function since(cursor) {
  const at = cursor ? LIFE.findIndex((frame) => frame.cursor === cursor) + 1 : 0;
  return [begin(), ...LIFE.slice(at), close(null)];
}

for (const format of ["sse", "ndjson"]) {
  for (const eol of ["\n", "\r\n"]) {
    test(`${format} with ${JSON.stringify(eol)}: a cut at any byte ends in the same state`, async (t) => {
      const whole = Buffer.from(encode[format](since(), eol));
      let cut;
      // In process, because it is thousands of connections; the tests below use sockets.
      t.mock.method(globalThis, "fetch", async (_, { headers }) => {
        const resumed = encode[format](since(headers["Last-Event-ID"]), eol);
        const body = cut === null ? resumed : whole.subarray(0, cut);
        cut = null;
        return new Response(body, { headers: { "Content-Type": media[format] } });
      });
      for (let at = 0; at <= whole.length; at++) {
        cut = at;
        const changes = [];
        const live = watch("a/*", { url: "http://x/", format, onChange: (frames) => changes.push(...frames.map((frame) => frame.key ?? "last")) });
        await assert.rejects(live.done, /bye/);
        assert.deepEqual(state(live.rows), END, `cut at ${at}`);
        assert.deepEqual(changes, CHANGES, `cut at ${at}`);
        assert.deepEqual([live.cursor, live.lost, live.doubled], ["c7", 0, 0], `cut at ${at}`);
      }
    });
  }
}

test("frames that arrive byte by byte are whole", async (t) => {
  const server = await peer(t, () => ({ body: encode.sse(since()), chunk: 1 }));
  const live = watch("a/*", { url: server.url });
  await assert.rejects(live.done, /bye/);
  assert.deepEqual(state(live.rows), END);
});

test("a replica stays whole while its successor is being sent", () => {
  const replica = new Replica();
  for (const frame of LIFE) replica.take(frame);
  assert.equal(replica.gaps, 0);
  for (const frame of [begin(), { op: "gap", from: "c7", reason: "retention" }, { op: "reset", reason: "gap" }, row("9", 9)]) replica.take(frame);
  assert.deepEqual(state(replica.rows), END);
  replica.cut(); // the half of it is dropped, and the cursor still asks for what `rows` lacks
  assert.deepEqual([replica.cursor, state(replica.rows)], ["c7", END]);
  for (const frame of [{ op: "reset", reason: "gap" }, row("8", 8), { op: "snapshot", last: true, count: 1, cursor: "d1" }]) replica.take(frame);
  assert.deepEqual([replica.cursor, state(replica.rows)], ["d1", { 8: 8 }]);
  assert.deepEqual([replica.gaps, replica.lost, replica.doubled], [1, 0, 0]);
});

test("prev tells what is lost and what came twice; a double changes nothing", () => {
  const replica = new Replica();
  const take = (cursor, prev) => replica.take(append(cursor, { cursor, prev })).length;
  replica.take(begin({ cursor: "c0" }));
  assert.deepEqual([take("c1", "c0"), take("c2", "c1"), take("c1", "c0"), take("c2", "c1")], [1, 1, 0, 0]);
  assert.deepEqual([replica.cursor, replica.lost, replica.doubled], ["c2", 0, 2]);
  assert.equal(take("c5", "c4"), 1);
  assert.deepEqual([replica.cursor, replica.lost, replica.doubled], ["c5", 1, 2]);
  replica.take({ op: "gap", from: "c5", to: "c8", reason: "retention" });
  assert.equal(take("c9", "c8"), 1);
  assert.deepEqual([replica.gaps, replica.lost, replica.doubled], [1, 1, 2], "an announced gap is no silent loss");
});

test("a loss of the source is counted once, wherever the cut is, and the cursor goes on behind it", () => {
  const gap = { op: "gap", from: "h1", to: "h2", reason: "source" };
  const replica = new Replica({ after: "h1", history: true });
  replica.take(gap);
  replica.cut();
  for (const frame of [begin({ cursor: "h1" }), gap, { op: "bookmark", cursor: "h2", prev: "h2" }, upsert("1", 1, { cursor: "h3", prev: "h2" })]) replica.take(frame);
  assert.deepEqual([replica.gaps, replica.lost, replica.doubled, replica.cursor], [1, 0, 0, "h3"]);
});

test("the own bookmark of a watcher that joins a shared tail links the two", () => {
  const replica = new Replica({ after: "c1" });
  replica.take(append(1, { cursor: "c2", prev: "c1" }));
  replica.take({ op: "bookmark", cursor: "c7", prev: "c2" });
  replica.take(append(2, { cursor: "c8", prev: "c7" }));
  assert.deepEqual([replica.lost, replica.cursor], [0, "c8"]);
});

test("a patch makes a new row of the one that is held, and the change tells the whole of it", () => {
  const replica = new Replica({ after: "c1" });
  const take = (key, more) => replica.take(upsert(key, undefined, more));
  const first = JSON.parse('{"n":{"a":1,"b":[1]},"gone":2,"__proto__":{"kept":true}}');
  replica.take(upsert("1", first, { cursor: "c2" }));
  const frozen = structuredClone(first);
  const [change] = take("1", { cursor: "c3", patch: JSON.parse('{"n":{"b":[{"x":null}]},"gone":null,"new":{"y":0},"__proto__":{"too":1}}') });
  const patched = JSON.parse('{"n":{"a":1,"b":[{"x":null}]},"__proto__":{"kept":true,"too":1},"new":{"y":0}}');
  assert.deepEqual([change.data, state(replica.rows)[1]], [patched, patched]);
  assert.deepEqual(Object.keys(change.data), ["n", "__proto__", "new"]);
  assert.deepEqual(first, frozen, "the row before is as it was");
  take("1", { patch: { new: 3 } }); // no cursor: not true yet
  replica.cut();
  assert.deepEqual(state(replica.rows)[1], patched);
  assert.deepEqual([take("2", { cursor: "c4", patch: { a: 1 } })[0].data, replica.rows.size], [undefined, 1], "nothing is made of a row that is not held");
});

test("JSON patches go to the places that they name", () => {
  const replica = new Replica({ after: "c1" });
  replica.take(upsert("1", { "a/b": { "~": [1, 2, { c: 3 }] }, l: ["x", "y", "z"] }, { cursor: "c2" }));
  const before = structuredClone(replica.rows.get(rowId("a/b", "1")).data);
  const held = replica.rows.get(rowId("a/b", "1")).data;
  const patches = [
    { op: "remove", path: "/a~1b/~0/0" },
    { op: "replace", path: "/a~1b/~0/1/c", value: null },
    { op: "move", from: "/l/2", path: "/l/0" },
    { op: "add", path: "/l/3", value: ["w"] },
    { op: "add", path: "/new", value: {} },
    { op: "replace", path: "/l/1", value: undefined },
    { op: "remove", path: "/l/1" },
  ];
  replica.take(upsert("1", undefined, { cursor: "c3", patches }));
  assert.deepEqual(state(replica.rows), { 1: { "a/b": { "~": [2, { c: null }] }, l: ["z", "y", ["w"]], new: {} } });
  assert.deepEqual(held, before, "the row before is as it was");
  replica.take(upsert("1", undefined, { cursor: "c4", patches: [{ op: "replace", path: "", value: 7 }] }));
  assert.deepEqual(state(replica.rows), { 1: 7 });
});

test("a tick of patches becomes true with its last frame, and a cut amid it takes all of it back", () => {
  const replica = new Replica({ after: "c1" });
  for (const key of ["1", "2"]) replica.take(upsert(key, { n: 1, kept: key }, { cursor: `c${key}` }));
  const tick = [upsert("1", undefined, { patch: { n: 2 }, conflated: 3 }), upsert("2", undefined, { patches: [{ op: "replace", path: "/n", value: 2 }], conflated: 1, cursor: "c5" })];
  const sent = () => structuredClone(tick);
  assert.deepEqual(replica.take(sent()[0]), []);
  replica.cut();
  assert.deepEqual([replica.cursor, state(replica.rows)], ["c2", { 1: { n: 1, kept: "1" }, 2: { n: 1, kept: "2" } }]);
  const changes = sent().flatMap((frame) => replica.take(frame));
  assert.deepEqual(changes.map(({ data, conflated }) => [data, conflated]), [[{ n: 2, kept: "1" }, 3], [{ n: 2, kept: "2" }, 1]]);
  assert.deepEqual([replica.cursor, state(replica.rows)], ["c5", { 1: { n: 2, kept: "1" }, 2: { n: 2, kept: "2" } }]);
});

/** Answers of a long-poll: the streams of a peer say `held` and no more. */
function held(stream, answers) {
  let asked = 0;
  return ({ headers, path }) => {
    if (headers.accept !== "application/json") return { body: stream, hold: true };
    const { status = 200, body, cursor, headers: more } = answers[asked++] ?? { status: 410, body: { code: "gone", detail: "the end", retry_ms: null } };
    const fields = { "Content-Type": "application/json", ...(cursor && { "Tidegate-Cursor": cursor }), ...more };
    return { status, headers: fields, body: body === undefined ? "" : JSON.stringify(body) };
  };
}

const polls = (requests) => requests.filter(({ headers }) => headers.accept === "application/json").map(({ path }) => path.replace(/&turn=\d{8,}/, "&turn=now"));

for (const [what, stream] of [
  ["of which only padding comes", ": padding\n\n"],
  ["that is stuck amid its rows", encode.sse([begin(), { op: "reset", reason: "start" }, row("1", 1)])],
  ["that is stuck amid a frame", encode.sse([begin(), { op: "bookmark", cursor: "c0" }]).slice(0, -9)],
  ["that is stuck amid a tick", encode.sse([begin(), upsert("1", 1)])],
]) {
  test(`a stream ${what} is given up for long-poll, which ends in the state at its cursor`, async (t) => {
    const answers = [
      { body: { rows: [row("1", 1), row("2", 2)], cursor: "c1" }, headers: { Link: '</v1/a/*?chain=true&page=p2>; rel="next"' } },
      { body: { rows: [row("3", 3)], cursor: "c1" } },
      { body: { frames: [upsert("1", "while the rows were read", { cursor: "c2", prev: "c1" })], cursor: "c3" } },
      { status: 204, cursor: "c4", headers: { Link: '</v1/a/*?after=c4&turn=7&wait=25s>; rel="next"' } },
      { body: { frames: [upsert("4", 4, { cursor: "c5", prev: "c4" })], cursor: "c6" } },
      { body: { frames: [{ op: "gap", from: "c6", reason: "retention" }, { op: "reset", reason: "gap" }], cursor: null } },
      { body: { rows: [row("5", 5)], cursor: "d1" } },
      { status: 204, cursor: "d2" },
    ];
    const server = await peer(t, held(stream, answers));
    const seen = [];
    const statuses = [];
    const options = { filter: "data != 0", fields: ["a", "b.c"], mode: "patch", fallback: { afterMs: 300 } };
    const live = watch("a/*", {
      url: server.url,
      ...options,
      onChange: (changes, { cursor, rows }) => seen.push([cursor, state(rows)]),
      onStatus: ({ state, transport }) => statuses.push([state, transport]),
    });
    await assert.rejects(live.done, /the end/);
    assert.deepEqual(seen, [
      ["c3", { 1: "while the rows were read", 2: 2, 3: 3 }],
      ["c5", { 1: "while the rows were read", 2: 2, 3: 3, 4: 4 }],
      ["d2", { 5: 5 }],
    ]);
    assert.deepEqual([live.lost, live.doubled, live.gaps, live.fallbacks], [0, 0, 1, 1]);
    assert.deepEqual(statuses.slice(-3), [["connecting", "poll"], ["open", "poll"], ["closed", "poll"]]);
    const view = "filter=data+%21%3D+0&fields=a%2Cb.c";
    assert.equal(server.requests[0].path, `/v1/a/*?${view}&mode=patch&chain=true`);
    const paths = ["", "page=p2&", "after=c1&as=json&", "after=c3&wait=25s&turn=now&as=json&", "after=c4&wait=25s&turn=7&as=json&", "after=c6&wait=25s&as=json&", "", "after=d1&as=json&", "after=d2&wait=25s&as=json&"];
    assert.deepEqual(polls(server.requests), paths.map((path) => `/v1/a/*?${path}${view}&chain=true`));
  });
}

test("rows as of a time are those that a long-poll begins with; after a loss it begins with those of now", async (t) => {
  const answers = [
    { body: { rows: [row("1", 1)], cursor: "c1" }, headers: { Link: '</v1/a/*?at=then&page=p2>; rel="next"' } },
    { body: { rows: [row("2", 2)], cursor: "c1" } },
    { body: { frames: [upsert("1", "since then", { cursor: "c2", prev: "c1" })], cursor: "c2" } },
    { body: { frames: [{ op: "gap", from: "c2", reason: "retention" }, { op: "reset", reason: "gap" }], cursor: null } },
    { body: { rows: [row("5", 5)], cursor: "d1" } },
    { status: 204, cursor: "d2" },
  ];
  const server = await peer(t, held("", answers));
  const seen = [];
  const at = "2026-11-21T12:00:00Z";
  const live = watch("a/*", { url: server.url, at, fallback: { afterMs: 30 }, onChange: (changes, { cursor, rows }) => seen.push([cursor, state(rows)]) });
  await assert.rejects(live.done, /the end/);
  assert.deepEqual(seen, [["c1", { 1: 1, 2: 2 }], ["c2", { 1: "since then", 2: 2 }], ["d2", { 5: 5 }]]);
  const time = `at=${encodeURIComponent(at)}&`;
  assert.equal(server.requests[0].path, `/v1/a/*?${time}chain=true`);
  const paths = [time, `${time}page=p2&`, "after=c1&wait=25s&turn=now&as=json&", "after=c2&wait=25s&as=json&", "", "after=d1&as=json&", "after=d2&wait=25s&as=json&"];
  assert.deepEqual(polls(server.requests), paths.map((path) => `/v1/a/*?${path}chain=true`));
});

test("a long-poll of events begins where the stream's head said, or now; a history from where it was asked", async (t) => {
  const events = [{ body: { frames: [append(1, { cursor: "c1" })], cursor: "c1" } }, { status: 204, cursor: "c2" }, { body: { frames: [append(2, { cursor: "c3" })], cursor: "c3" } }];
  const run = async (script, options) => {
    const server = await peer(t, script);
    const seen = [];
    const live = watch("a", { url: server.url, chain: false, fallback: { afterMs: 30 }, ...options, onChange: (changes) => seen.push(...changes.map(({ data }) => data)) });
    await assert.rejects(live.done, /the end/);
    return [seen, polls(server.requests)];
  };
  assert.deepEqual(await run(held("", events)), [[2], ["/v1/a", "/v1/a?after=c1&wait=25s&turn=now&as=json", "/v1/a?after=c2&wait=25s&as=json", "/v1/a?after=c3&wait=25s&as=json"]]);
  const [seen, asked] = await run(held("", events), { from: "start" });
  assert.deepEqual([seen, asked.slice(0, 2)], [[1, 2], ["/v1/a?from=start", "/v1/a?after=c1&wait=25s&turn=now&snapshot=false&as=json"]]);
  const headed = held("", events);
  const known = (request) => (request.headers.accept === "application/json" ? headed(request) : { headers: { "Tidegate-Cursor": "c0" }, hold: true });
  assert.deepEqual((await run(known))[1][0], "/v1/a?after=c0&wait=25s&turn=now&as=json");
});

test("the value of one key is its row, by long-poll too", async (t) => {
  const absent = { status: 404, cursor: "c1", body: { code: "key-not-found", detail: "no value", retry_ms: null } };
  for (const [first, rows] of [[{ body: { n: 1 }, cursor: "c1" }, { k: { n: 1 } }], [absent, {}]]) {
    const server = await peer(t, held("", [first, { status: 204, cursor: "c1" }]));
    const live = watch("a/b", { url: server.url, key: "k", fallback: { afterMs: 30 } });
    await assert.rejects(live.done, /the end/);
    assert.deepEqual([state(live.rows), polls(server.requests).slice(-1)], [rows, ["/v1/a/b?after=c1&wait=25s&turn=now&key=k&as=json&chain=true"]]);
  }
});

test("who polls goes back to the stream, with its cursor, once streams pass", async (t) => {
  let streams = 0;
  const server = await peer(t, ({ headers }) => {
    if (headers.accept === "application/json") return { headers: { "Content-Type": "application/json", "Tidegate-Cursor": "c1" }, status: 204, hold: true };
    // Held back at first; then it passes, and is opened again to be followed.
    if (++streams < 3) return { hold: true };
    return { body: encode.sse([begin(), upsert("2", 2, { cursor: "c2", prev: "c1" }), ...(streams === 4 ? [close(null)] : [])]), hold: streams === 3 };
  });
  const statuses = [];
  const live = watch("a/*", { url: server.url, after: "c1", rows: new Map(), fallback: { afterMs: 30, againMs: 60 }, onStatus: ({ state, transport }) => statuses.push(`${state} ${transport}`) });
  await assert.rejects(live.done, /bye/);
  assert.deepEqual(statuses, ["connecting sse", "connecting poll", "open poll", "connecting sse", "open sse", "closed sse"]);
  assert.deepEqual([state(live.rows), live.cursor, live.fallbacks, live.lost, live.doubled], [{ 2: 2 }, "c2", 1, 0, 0]);
  assert.equal(server.requests.at(-1).headers["last-event-id"], "c1");
});

test("without a fallback, silence is that of a dead connection", async (t) => {
  const server = await peer(t, (_, index) => (index === 0 ? { body: encode.sse([begin({ cursor: "c0", heartbeat_ms: 40 }), append(1)]), hold: true } : { body: encode.sse([begin(), close(null)]) }));
  const errors = [];
  const live = watch("a", { url: server.url, fallback: false, onStatus: ({ error, transport }) => errors.push(`${transport} ${error?.message}`) });
  await assert.rejects(live.done, /bye/);
  assert.ok(errors.includes("sse the connection went silent"), errors.join());
  assert.equal(live.fallbacks, 0);
});

test("a history watch keeps its address, resumes by header and builds no rows", async (t) => {
  const frames = [upsert("1", 1, { cursor: "h1", prev: "h0" }), { op: "clear", time: "2026-01-01T00:00:00.000Z", cursor: "h2", prev: "h1" }];
  const server = await peer(t, (request, index) => {
    const body = index === 0 ? [begin({ cursor: "h0" }), frames[0]] : [begin({ cursor: "h1" }), frames[1], close(null)];
    return { body: encode.sse(body) };
  });
  const ops = [];
  const live = watch("a/b", { url: server.url, from: "start", onChange: (changes) => ops.push(...changes.map((frame) => frame.op)) });
  await assert.rejects(live.done);
  assert.deepEqual([ops, live.rows.size, live.lost], [["upsert", "clear"], 0, 0]);
  assert.deepEqual(server.requests.map(({ path }) => path), Array(2).fill("/v1/a/b?from=start&chain=true"));
  assert.deepEqual(server.requests.map(({ headers }) => headers["last-event-id"]), [undefined, "h1"]);
});

test("a stored cursor with its rows goes on where it was", async (t) => {
  const server = await peer(t, () => ({ body: encode.sse([begin(), upsert("2", 2, { cursor: "c2", prev: "c1" }), close(null)]) }));
  const rows = new Map([[rowId("a/b", "1"), { address: "a/b", key: "1", time: "", data: 1 }]]);
  const live = watch("a/b", { url: `${server.url}/behind/`, after: "c1", rows, key: "x y" });
  await assert.rejects(live.done);
  assert.deepEqual(state(live.rows), { 1: 1, 2: 2 });
  assert.equal(server.requests[0].path, "/behind/v1/a/b?key=x+y&chain=true");
});

test("close says whether to come back, and when", async (t) => {
  const statuses = [];
  const server = await peer(t, (_, index) => ({ body: encode.sse([begin({ cursor: "c0" }), close(index === 0 ? 120 : null)]) }));
  const live = watch("a", { url: server.url, onStatus: ({ state, retry_ms }) => statuses.push([state, retry_ms]) });
  const error = await live.done.catch((error) => error);
  assert.deepEqual([error.name, error.problem.code], ["TidegateError", "draining"]);
  assert.deepEqual(statuses.slice(0, 3), [["connecting", undefined], ["open", undefined], ["waiting", 120]]);
  assert.deepEqual([statuses.at(-1)[0], server.requests.length], ["closed", 2]);
});

test("Retry-After is honoured, a problem of ours rules, a proxy's error is retried", async (t) => {
  const problem = (code, retry_ms) => ({ headers: { "Content-Type": "application/problem+json" }, body: JSON.stringify({ code, detail: code, retry_ms }) });
  const answers = [
    { status: 502, headers: { "Content-Type": "text/html" }, body: "<h1>Bad Gateway" },
    { status: 503, headers: { "Content-Type": "text/html", "Retry-After": "1" } },
    { status: 429, ...problem("rate-limited", 30) },
    { status: 200, headers: { "Content-Type": "text/html" }, body: "log in to this wifi" },
    null,
    { status: 404, ...problem("channel-not-found", null) },
  ];
  const server = await peer(t, (_, index) => answers[index]);
  const waits = [];
  const live = watch("a", { url: server.url, onStatus: ({ state, retry_ms }) => state === "waiting" && waits.push(retry_ms) });
  const error = await live.done.catch((error) => error);
  assert.deepEqual(waits, [0, 1000, 30, 0, 0]);
  assert.deepEqual([error.status, error.problem.code, live.status.state, server.requests.length], [404, "channel-not-found", "closed", 6]);
});

test("silence for two and a half heartbeats is a dead connection", { timeout: 10_000 }, async (t) => {
  const append1 = append(1, { cursor: "c1", prev: "c0" });
  const server = await peer(t, (_, index) =>
    index === 0 ? { body: encode.sse([begin({ cursor: "c0", heartbeat_ms: 40 }), append1]), hold: true } : { body: encode.sse([begin(), close(null)]) },
  );
  const errors = [];
  const live = watch("a", { url: server.url, onStatus: ({ error }) => errors.push(error?.message) });
  await assert.rejects(live.done, /bye/);
  assert.ok(errors.includes("the connection went silent"), errors.join());
  assert.equal(server.requests[1].headers["last-event-id"], "c1");
});

test("what is no frame is a cut", async (t) => {
  const server = await peer(t, (_, index) => ({ body: index === 0 ? 'data: {"op":"beg\n\n' : encode.sse([begin(), close(null)]) }));
  await assert.rejects(watch("a", { url: server.url }).done, /bye/);
  assert.equal(server.requests.length, 2);
});

test("a token is asked for before each connect", async (t) => {
  let asked = 0;
  const server = await peer(t, (_, index) => ({ body: encode.sse([begin(), close(index < 2 ? 0 : null)]) }));
  await assert.rejects(watch("a", { url: server.url, token: async () => `t${++asked}` }).done);
  assert.deepEqual(server.requests.map(({ headers }) => headers.authorization), ["Bearer t1", "Bearer t2", "Bearer t3"]);
});

test("close() ends a watch, also one that waits", async (t) => {
  const server = await peer(t, (_, index) => (index === 0 ? { body: encode.sse([begin({ cursor: "c0" }), append(1, { cursor: "c1", prev: "c0" }), append(2)]), hold: true } : { status: 503, headers: { "Retry-After": "86400" } }));
  const seen = [];
  const open = watch("a", { url: server.url, onFrame: (frame, live) => (seen.push(frame.op), frame.op === "append" && live.close()) });
  await open.done;
  assert.deepEqual([seen, open.status.state], [["begin", "append"], "closed"]);
  const waiting = watch("a", { url: server.url, onStatus: ({ state }, live) => state === "waiting" && live.close() });
  await waiting.done;
  assert.equal(waiting.status.state, "closed");
});

test("publish repeats with one Idempotency-Key until it has the answer", async (t) => {
  const json = { "Content-Type": "application/json" };
  const answers = [null, { headers: json, body: '{"cursor":"c1","cou' }, { status: 503, headers: { "Retry-After": "0" } }, { headers: json, body: '{"cursor":"c1","count":1}' }];
  const server = await peer(t, (_, index) => answers[index]);
  assert.deepEqual(await publish("a/b", { n: 1 }, { url: server.url, key: "k/1", token: () => "t" }), { cursor: "c1", count: 1 });
  const [first, ...others] = server.requests;
  assert.deepEqual([first.method, first.path, first.body, first.headers.authorization], ["PUT", "/v1/a/b?key=k%2F1", '{"n":1}', "Bearer t"]);
  assert.match(first.headers["idempotency-key"], /^[0-9a-f]{32}$/);
  assert.deepEqual(others.map(({ headers }) => headers["idempotency-key"]), Array(3).fill(first.headers["idempotency-key"]));
});

test("publish gives up on a final refusal at once, on a temporary one after its attempts", async (t) => {
  const final = await peer(t, () => ({ status: 422, headers: { "Content-Type": "application/problem+json" }, body: '{"code":"unprocessable","detail":"no key","retry_ms":null}' }));
  await assert.rejects(publish("a", {}, { url: final.url }), { name: "TidegateError", message: "no key", status: 422 });
  assert.equal(final.requests.length, 1);
  const down = await peer(t, () => null);
  await assert.rejects(publish("a", {}, { url: down.url, attempts: 3 }), { message: "the connection failed" });
  assert.equal(down.requests.length, 3);
});
