// One watch a WebSocket, as npm `ws` and Chromium's own see it: the handshake, what a client may say, and the end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { publish } from "../../portal/tidegate.js";
import { launch, quietPage } from "./browser.mjs";
import { ws } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";

const ROOM = "rooms/lobby/messages";
/** A message of a client may have so many bytes. */
const MESSAGE_BYTES_MAX = 1024 * 1024;

test("WebSocket", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const target = `${gateway.url.replace("http", "ws")}/v1/${ROOM}`;

  await t.test("confirms the subprotocol if it is asked for", async () => {
    for (const [asked, confirmed] of [[["tidegate.v1"], "tidegate.v1"], [["other", "tidegate.v1"], "tidegate.v1"], [[], ""]]) {
      const socket = new WebSocket(target, asked);
      await once(socket, "open");
      assert.equal(socket.protocol, confirmed);
      socket.terminate();
    }
  });

  await t.test("answers what a client says by its ref", async (t) => {
    const client = await ws(t, gateway.url, ROOM).untilOp("begin");
    const ask = async (message, op) => {
      const before = client.frames.filter((frame) => frame.op === op).length;
      client.socket.send(message);
      await client.untilOp(op, before + 1);
      return client.frames.findLast((frame) => frame.op === op);
    };
    assert.deepEqual(await ask('{"do":"ping","ref":1}', "done"), { op: "done", ref: 1 });
    const say = '{"do":"publish","ref":2,"data":{"n":1},"idempotency_key":"once"}';
    const { cursor, etag, ...done } = await ask(say, "done");
    assert.equal(etag, `"${cursor}"`);
    assert.deepEqual(done, { op: "done", ref: 2, count: 1, replayed: false });
    assert.equal((await client.untilNumber(1)).frames.find(({ data }) => data?.n === 1).cursor, cursor);
    assert.equal((await ask(say, "done")).replayed, true);
    const later = await ask('{"do":"pause","ref":3}', "problem");
    assert.deepEqual([later.ref, later.code], [3, "not-built"]);
    assert.match((await ask('{"do":"watch","ref":3,"address":"rooms/a/messages"}', "problem")).hint, /_ws/);
    for (const nonsense of ["{", "[]", '{"do":"fly","ref":3}', "é"]) assert.equal((await ask(nonsense, "problem")).code, "invalid", nonsense);
    const pong = once(client.socket, "pong");
    client.socket.ping("a");
    assert.equal(String((await pong)[0]), "a");
    await gateway.publishNumbers(ROOM, 2, 2);
    assert.deepEqual((await client.untilNumber(2)).numbers, [1, 2]);
    assert.deepEqual(client.ends, [], "it was never cut");
  });

  await t.test("closes on a message that is too large, compressed or not", async () => {
    for (const perMessageDeflate of [true, false]) {
      const socket = new WebSocket(target, { perMessageDeflate });
      await once(socket, "open");
      socket.send("x".repeat(MESSAGE_BYTES_MAX + 1));
      socket.on("error", () => {});
      assert.equal((await once(socket, "close"))[0], 1009);
    }
  });

  await t.test("ends when the client closes", async () => {
    const socket = new WebSocket(target);
    await once(socket, "open");
    socket.close(1000, "bye");
    assert.equal((await once(socket, "close"))[0], 1000);
  });

  await t.test("carries rows, then changes, to Chromium", async (t) => {
    await publish("notes/ann", { text: "é😀" }, { url: gateway.url, key: "1" });
    const browser = await quietPage(await launch(t), gateway.url);
    const client = await browser.open(t, "WebSocket", "notes/ann");
    await client.until("the end of the snapshot", ({ frames }) => frames.some((frame) => frame.last));
    const { status } = await fetch(`${gateway.url}/v1/notes/ann?key=1`, { method: "DELETE" });
    assert.equal(status, 204);
    await client.untilOp("delete");
    assert.deepEqual(client.frames.map(({ op }) => op), ["begin", "reset", "snapshot", "snapshot", "delete"]);
    assert.equal(client.frames[2].data.text, "é😀");
  });
});
