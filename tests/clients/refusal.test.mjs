// What is refused for good ends a client for good; a page of another origin, or a name that is not ours, gets nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import WebSocket from "ws";
import { launch, quietPage } from "./browser.mjs";
import { curl, eventSource, python, tidegate, ws } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";

const NOWHERE = "room/lobby/messages";
const ROOM = "rooms/lobby/messages";

/** An empty page of another origin. */
async function elsewhere(t) {
  const server = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>elsewhere</title>"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

test("refusals", { timeout: 60_000 }, async (t) => {
  const [foreign, listed] = [await elsewhere(t), await elsewhere(t)];
  const gateway = await Gateway.start(t, { origins: [listed] });
  const { url } = gateway;
  const context = await launch(t, [`--host-resolver-rules=MAP rebound.example 127.0.0.1`]);

  const clients = {
    "curl sse": (t) => curl(t, url, NOWHERE, { format: "sse" }),
    "curl ndjson": (t) => curl(t, url, NOWHERE, { format: "ndjson" }),
    "npm eventsource": (t) => eventSource(t, url, NOWHERE),
    "npm ws": (t) => ws(t, url, NOWHERE),
    "Python websockets": (t) => python(t, url, NOWHERE),
    "tidegate.js": (t) => tidegate(t, url, NOWHERE),
  };
  for (const [name, open] of Object.entries(clients)) {
    await t.test(`an unknown address is final to ${name}`, async (t) => {
      const client = await open(t).until("end", ({ over }) => over);
      assert.equal(client.ends.length, 1, `${client.name} came back: ${client.ends}`);
      assert.deepEqual(client.frames, []);
      if (client.watch) await assert.rejects(client.watch.done, (error) => error.status === 404 && error.problem.code === "channel-not-found" && /rooms/.test(error.problem.hint));
    });
  }

  await t.test("an unknown address is final in Chromium", async (t) => {
    const browser = await quietPage(context, url);
    for (const kind of ["EventSource", "tidegate.js"]) {
      const client = await (await browser.open(t, kind, NOWHERE)).until("end", ({ over }) => over);
      assert.equal(client.ends.length, 1, `${client.name} came back: ${client.ends}`);
    }
    const closed = await browser.page.evaluate((target) => new Promise((resolve) => (new WebSocket(target).onclose = ({ code }) => resolve(code))), `${url.replace("http", "ws")}/v1/${NOWHERE}`);
    assert.equal(closed, 1006);
  });

  /** What a page can try; it resolves to what the page is told, and the test looks at what the server did. */
  const attempts = {
    "a plain form post": (target) => fetch(target, { method: "POST", mode: "no-cors", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: '{"n":1}' }).then(({ type }) => type, () => "failed"),
    "a post as JSON": (target) => fetch(target, { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"n":1}' }).then(({ status }) => status, () => "failed"),
    "a WebSocket": (target) =>
      new Promise((resolve) => {
        const socket = new WebSocket(target.replace("http", "ws"));
        socket.onopen = () => resolve("open");
        socket.onclose = ({ code }) => resolve(code);
      }),
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    await t.test(`a page of another origin fails with ${what}`, async () => {
      const page = await context.newPage();
      await page.goto(foreign);
      const told = await page.evaluate(attempt, `${url}/v1/${ROOM}`);
      assert.ok(["opaque", "failed", 1006].includes(told), String(told));
      assert.deepEqual((await gateway.json(`/v1/${ROOM}`)).frames, []);
    });
  }
  await t.test("a page of a listed origin succeeds", async () => {
    const page = await context.newPage();
    await page.goto(listed);
    assert.equal(await page.evaluate(attempts["a WebSocket"], `${url}/v1/${ROOM}`), "open");
    assert.equal(await page.evaluate(attempts["a plain form post"], `${url}/v1/${ROOM}`), "opaque");
    assert.equal((await gateway.json(`/v1/${ROOM}`)).frames.length, 1);
  });
  await t.test("a page of a listed origin watches and publishes with our client, and resumes", async () => {
    const page = await context.newPage();
    await page.goto(listed);
    await page.evaluate(async (server) => {
      const { publish, watch } = await import(`${server}/tidegate.js`);
      window.seen = [];
      window.watching = watch("rooms/far/messages", { onChange: (changes) => window.seen.push(...changes.map(({ data }) => data.n)) });
      window.say = (n) => publish("rooms/far/messages", { n });
      window.live = () => window.watching.status.state === "open";
    }, url);
    await page.waitForFunction(() => window.live());
    await page.evaluate(() => window.say(1));
    await page.waitForFunction(() => window.seen.length === 1);
    await gateway.restart();
    await page.evaluate(() => window.say(2)); // retries until the server is back
    await page.waitForFunction(() => window.seen.length === 2);
    assert.deepEqual(await page.evaluate(() => [window.seen, window.watching.lost, window.watching.doubled]), [[1, 2], 0, 0]);
  });
  await t.test("the refusal of another origin is a 403, on a post and on a handshake", async (t) => {
    const post = await fetch(`${url}/v1/${ROOM}`, { method: "POST", headers: { Origin: foreign }, body: '{"n":2}' });
    assert.deepEqual([post.status, (await post.json()).code], [403, "forbidden"]);
    const client = await ws(t, url, ROOM, { options: { origin: foreign } }).until("end", ({ over }) => over);
    assert.deepEqual(client.ends, [403]);
  });

  await t.test("a name that is not ours is a 421, also for a browser that was told it is", async () => {
    const page = await context.newPage();
    const { port } = new URL(url);
    const answer = await page.goto(`http://rebound.example:${port}/v1/${ROOM}`);
    assert.equal(answer.status(), 421);
    const told = await new Promise((resolve) => new WebSocket(`${url.replace("http", "ws")}/v1/${ROOM}`, { headers: { Host: "rebound.example" } }).on("unexpected-response", (_, answer) => resolve(answer.statusCode)).on("open", () => resolve("open")).on("error", resolve));
    assert.equal(told, 421);
  });
});
