// permessage-deflate as clients in wide use speak it, and the same clients without it: agreed, on the wire, both ways.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import WebSocket from "ws";
import { launch } from "./browser.mjs";
import { Gateway } from "./gateway.mjs";
import { tap } from "./tap.mjs";
import { Watcher } from "./watcher.mjs";

const EVENTS = 200;
/** The event that a client publishes: over 3 kB, since `ws` compresses nothing below 1 kB. */
const OWN = { n: EVENTS + 1, text: "the tide turns at the gate; ".repeat(120) };
const SAY = JSON.stringify({ do: "publish", ref: 7, data: OWN });
const PLAIN = "";
const DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/** What each client needs to open a socket: returns the watcher with `say(text)`. */
const clients = {
  async ws(t, url, offer) {
    const watcher = new Watcher(t, "npm ws");
    const socket = new WebSocket(url, { perMessageDeflate: offer !== "none" });
    watcher.onStop(() => socket.terminate());
    socket.on("message", (data) => watcher.frame(JSON.parse(data))).on("close", (code) => watcher.ended(code));
    watcher.say = (text) => socket.send(text);
    return watcher;
  },

  async python(t, url, offer) {
    const watcher = new Watcher(t, "Python websockets");
    const here = import.meta.dirname;
    const child = spawn(path.join(here, ".venv/bin/python"), [path.join(here, "talk_ws.py"), url, offer], { stdio: ["pipe", "pipe", "inherit"] });
    watcher.onStop(() => child.kill("SIGKILL"));
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) watcher.frame(JSON.parse(line));
    });
    child.on("close", (code) => watcher.ended(code));
    watcher.say = (text) => child.stdin.write(`${text}\n`);
    return watcher;
  },

  async chromium(t, url) {
    const watcher = new Watcher(t, "Chromium");
    const page = await (await launch(t)).newPage();
    await page.goto(`${new URL(url).origin.replace("ws", "http")}/tidegate.js`);
    await page.exposeBinding("report", (_, text) => watcher.frame(JSON.parse(text)));
    await page.exposeBinding("closed", (_, code) => watcher.ended(code));
    await page.evaluate((url) => {
      window.socket = new WebSocket(url);
      window.socket.onmessage = ({ data }) => window.report(data);
      window.socket.onclose = ({ code }) => window.closed(code);
    }, url);
    watcher.say = (text) => page.evaluate((text) => window.socket.send(text), text);
    return watcher;
  },
};

test("permessage-deflate", { timeout: 120_000 }, async (t) => {
  const gateway = await Gateway.start(t);
  const bytes = {};
  for (const [name, offer, agreed] of [
    ["ws", "deflate", DEFLATE],
    ["ws", "none", PLAIN],
    ["python", "deflate", DEFLATE],
    ["python", "small-window", `${DEFLATE}; server_max_window_bits=12`],
    ["python", "none", PLAIN],
    ["chromium", "deflate", DEFLATE], // which cannot do without
  ]) {
    await t.test(`${name}, ${offer}`, async (t) => {
      const deflate = offer !== "none";
      const wire = await tap(t, gateway.url);
      const address = `rooms/${name}-${offer}/messages`;
      const client = await clients[name](t, `${wire.url.replace("http", "ws")}/v1/${address}`, offer);
      await client.untilOp("begin");
      await publishAll(gateway, address);
      await client.untilNumber(EVENTS);
      await client.say(SAY);
      await client.untilNumber(OWN.n);
      await client.untilOp("done");

      assert.deepEqual(client.numbers, Array.from({ length: OWN.n }, (_, at) => at + 1), "all of them, in order");
      assert.deepEqual(client.frames.find(({ data }) => data?.n === OWN.n).data, OWN, "what it said was understood");
      assert.deepEqual(client.frames.filter(({ op }) => op === "done").map(({ ref, count }) => [ref, count]), [[7, 1]]);
      assert.deepEqual(client.ends, [], "it was never cut");

      assert.equal(wire.sockets.length, 1);
      const [{ agreed: answered, server, client: said }] = wire.sockets;
      assert.equal(answered, agreed);
      assert.equal(said.deflated, deflate ? 1 : 0, "its message was compressed");
      if (deflate) assert.ok(server.deflated >= OWN.n, `${server.deflated} of ${server.texts} were compressed`);
      else assert.equal(server.deflated, 0);
      bytes[`${name} ${offer}`] = server.bytes;
    });
  }
  for (const name of ["ws", "python"]) {
    const [less, more] = [bytes[`${name} deflate`], bytes[`${name} none`]];
    assert.ok(less * 2 < more, `${name}: ${less} bytes with, ${more} without`);
  }
});

/** Events of about 500 bytes, each acknowledged, in batches. */
async function publishAll(gateway, address) {
  const BATCH = 20;
  for (let from = 1; from <= EVENTS; from += BATCH) {
    const events = Array.from({ length: BATCH }, (_, at) => ({ n: from + at, text: `number ${from + at}; `.repeat(30) }));
    const answer = await fetch(`${gateway.url}/v1/${address}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(events) });
    assert.equal(answer.status, 200);
  }
}
