// `curl`, the first client: every way of reading and publishing, by what it prints.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { curl as stream, longPoll, run } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { Watcher } from "./watcher.mjs";

const exec = promisify(execFile);

/** Status, headers (lower case) and body of one request. */
async function curl(...args) {
  const { stdout } = await exec("curl", ["-s", "--noproxy", "*", "--max-time", "20", "-D", "-", ...args]);
  const end = stdout.indexOf("\r\n\r\n");
  const [first, ...lines] = stdout.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const body = stdout.slice(end + 4);
  return { status: Number(first.split(" ")[1]), headers, body, json: () => JSON.parse(body) };
}

/** The lines that a program prints until one fits; then it is stopped. */
async function linesUntil(t, pattern, program, args) {
  const watcher = new Watcher(t, program);
  const lines = [];
  run(watcher, program, args, (line) => {
    lines.push(line);
    watcher.ended(line);
  });
  await watcher.until(`line like ${pattern}`, () => lines.some((line) => pattern.test(line)));
  watcher.stop();
  return lines;
}

test("curl", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const at = (pathAndQuery) => `${gateway.url}/v1/${pathAndQuery}`;

  await t.test("publishes, and is told when it is durable", async () => {
    const one = await curl("-d", '{"n": 1, "text": "é"}', at("rooms/a/messages"));
    assert.equal(one.status, 200, one.body);
    assert.equal(one.json().count, 1);
    const batch = await curl("-H", "Content-Type: application/x-ndjson", "--data-binary", '{"n":2}\n{"n":3}\n', at("rooms/a/messages"));
    assert.equal(batch.json().count, 2);
    const { frames, cursor } = (await curl(at("rooms/a/messages"))).json();
    assert.deepEqual(frames.map(({ op, address, data }) => [op, address, data.n]), [1, 2, 3].map((n) => ["append", "rooms/a/messages", n]));
    assert.equal(frames[0].data.text, "é");
    assert.equal(cursor, batch.json().cursor);
  });

  await t.test("repeats a publish under one Idempotency-Key, also after a kill", async () => {
    const request = ["-H", "Idempotency-Key: k-1", "-d", '{"n":1}', at("rooms/once/messages")];
    const first = await curl(...request);
    await gateway.restart();
    const second = await curl(...request);
    assert.equal(second.headers["idempotency-replayed"], "true");
    assert.deepEqual(second.json(), first.json());
    assert.equal((await curl(at("rooms/once/messages"))).json().frames.length, 1);
    const other = await curl("-H", "Idempotency-Key: k-1", "-d", '{"n":2}', at("rooms/once/messages"));
    assert.equal(other.status, 422);
  });

  await t.test("puts, reads and deletes a key", async () => {
    assert.equal((await curl("-X", "PUT", "-d", '{"text":"milk"}', at("notes/ann?key=1"))).status, 200);
    assert.deepEqual((await curl(at("notes/ann?key=1"))).json(), { text: "milk" });
    const rows = (await curl(at("notes/ann"))).json().rows;
    assert.deepEqual(rows.map(({ address, key, data }) => ({ address, key, data })), [{ address: "notes/ann", key: "1", data: { text: "milk" } }]);
    assert.equal((await curl("-X", "DELETE", at("notes/ann?key=1"))).status, 204);
    const gone = await curl(at("notes/ann?key=1"));
    assert.deepEqual([gone.status, gone.json().code], [404, "key-not-found"]);
    assert.ok(gone.headers["tidegate-cursor"], "a 404 of a key has a cursor to watch from");
  });

  await t.test("streams SSE as the specification reads it", async (t) => {
    const watcher = stream(t, gateway.url, "notes/sse", { format: "sse" });
    await watcher.until("the end of the snapshot", ({ frames }) => frames.some((frame) => frame.last));
    await curl("-X", "PUT", "-d", '{"text":"a\\r\\nb"}', at("notes/sse?key=1"));
    await watcher.untilOp("upsert");
    await curl("-X", "DELETE", at("notes/sse?key=1"));
    await watcher.untilOp("delete");
    assert.deepEqual(watcher.frames.map(({ op }) => op), ["begin", "reset", "snapshot", "upsert", "delete"]);
    for (const [index, { id, type }] of watcher.events.entries()) {
      const { op, cursor } = watcher.frames[index];
      assert.equal(type, ["begin", "reset"].includes(op) ? op : "message");
      assert.equal(id, cursor);
    }
    assert.equal(watcher.frames[3].data.text, "a\r\nb");
  });

  await t.test("gets headers that keep proxies from holding events back", async () => {
    const head = (await linesUntil(t, /^:/, "curl", ["-sN", "--noproxy", "*", "-D", "-", "-H", "Accept: text/event-stream", at("rooms/a/messages")])).join("\n");
    assert.match(head, /^HTTP\/1\.1 200/);
    assert.match(head, /^content-type: text\/event-stream/im);
    assert.match(head, /^x-accel-buffering: no\r$/im);
    assert.match(head, /^cache-control: .*no-transform/im);
    assert.doesNotMatch(head, /^(transfer-encoding|content-length):/im);
    assert.match(head, /\r\n\r\n:/, "a padding comment comes first");
  });

  await t.test("streams NDJSON from the start, each frame chained to the one before", async (t) => {
    const watcher = stream(t, gateway.url, "rooms/a/messages", { format: "ndjson", query: { from: "start", chain: "true" } });
    await watcher.untilNumber(3);
    assert.deepEqual(watcher.numbers, [1, 2, 3]);
    const chained = watcher.frames.filter((frame) => frame.cursor);
    for (let index = 1; index < chained.length; index++) assert.equal(chained[index].prev, chained[index - 1].cursor);
  });

  await t.test("long-polls: nothing, then what comes", async (t) => {
    const { cursor } = (await curl(at("rooms/poll/messages"))).json();
    const idle = await curl(at(`rooms/poll/messages?after=${cursor}&wait=0s`));
    assert.equal(idle.status, 204);
    const watcher = longPoll(t, gateway.url, "rooms/poll/messages", { after: idle.headers["tidegate-cursor"] });
    await gateway.publishNumbers("rooms/poll/messages", 1, 3);
    await watcher.untilNumber(3);
    assert.deepEqual(watcher.numbers, [1, 2, 3]);
  });

  await t.test("goes from one transport to the next with one cursor", async (t) => {
    const room = "rooms/switch/messages";
    const sse = stream(t, gateway.url, room, { format: "sse", query: { from: "start" } });
    await gateway.publishNumbers(room, 1, 2);
    await sse.untilNumber(2);
    sse.stop();
    await gateway.publishNumbers(room, 3, 4);
    const poll = (await curl(at(`${room}?after=${sse.cursor}&wait=5s`))).json();
    assert.deepEqual(poll.frames.map((frame) => frame.data.n), [3, 4]);
    await gateway.publishNumbers(room, 5, 6);
    const ndjson = stream(t, gateway.url, room, { format: "ndjson", query: { after: poll.cursor } });
    await ndjson.untilNumber(6);
    assert.deepEqual(ndjson.numbers, [5, 6]);
  });

  await t.test("lists the channels with a line to copy that works", async (t) => {
    const listed = async () => (await curl(at(""))).json().channels;
    assert.deepEqual((await listed()).map(({ channel }) => channel).sort(), ["chat", "machine", "notes", "ticks"]);
    const machine = async () => (await listed()).find(({ channel }) => channel === "machine");
    await linesUntil(t, /"op":"snapshot"/, "sh", ["-c", `exec ${(await machine()).curl} -s --noproxy '*'`]);
    // A snapshot came, so the source has loaded.
    const { curl: _, ...rest } = await machine();
    assert.deepEqual(rest, { channel: "machine", address: "machine/{group}", pattern: "machine/*", kind: "keyed", source: "machine", loading: false, publish: false, title: "This machine" });
  });

  await t.test("is told what is wrong, and what is near", async () => {
    const cases = [
      [["room/a/messages"], 404, "channel-not-found", /rooms\/\{room\}\/messages/],
      [["closed/a"], 403, "forbidden"],
      [["rooms/a/messages?afer=x"], 400, "unknown-option", /after/],
      [["rooms/a/messages?after=nonsense"], 400, "cursor-invalid"],
      [["rooms/../messages", "--path-as-is"], 400, "invalid"],
      [["rooms/a%2Fb/messages"], 400, "invalid"],
      [["rooms/a/messages", "-d", "{nonsense"], 400, "invalid"],
      [["machine/cpu", "-d", "{}"], 405, "method-not-allowed"],
      [["rooms/*/messages", "-d", "{}"], 400, "invalid"],
      [["notes/ann", "-d", '{"text":"no id"}'], 422, "unprocessable"],
    ];
    for (const [[address, ...args], status, code, hint] of cases) {
      const answer = await curl(...args, at(address));
      assert.deepEqual([answer.status, answer.headers["content-type"], answer.json().code], [status, "application/problem+json", code], address);
      if (hint) assert.match(`${answer.json().hint} ${answer.json().detail}`, hint);
    }
  });
});
