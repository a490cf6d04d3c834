// docs/nginx-cache.conf as it is: a thousand who wait cost Tidegate one request, and pages come from the cache.
//
// What cannot depend on how fast the machine is: nobody publishes before nginx holds a request of everyone, all of them
// are answered before the next change, and what nginx did is what it says of each answer (`X-Cache-Status`) and what
// Tidegate counts. Only how long an answer takes to reach the last of them depends on it: nginx keeps it for a second
// and fetches it again for who is later, which it calls `EXPIRED`, and which is allowed once for each second.

import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { tidegate } from "./clients.mjs";
import { Gateway } from "./gateway.mjs";
import { cache } from "./nginx.mjs";
import { publish } from "../../portal/tidegate.js";

const CLIENTS = 1_000;
const CHANGES = 8;
const ROOM = "rooms/lobby/messages";

const config = ({ listen, folder }) => `
listen: 127.0.0.1:${listen}
admin: { listen: 127.0.0.1:0 }
log: { path: ${folder}/data }
channels:
  chat:
    address: rooms/{room}/messages
    retain: { age: 7d }
    access: { read: "true", publish: "true" }
`;

/** Requests of plain clients, each on a connection of its own that it keeps. */
class Crowd {
  #agent = new http.Agent({ keepAlive: true });
  #over = false;
  /** Of each: its numbers, when the last came, and where it asks next. */
  clients;
  answers = [];
  running = [];

  constructor(url, after, wait, count) {
    this.url = url;
    this.clients = Array.from({ length: count }, () => ({ numbers: [], asked: [], at: 0, next: `/v1/${ROOM}?after=${after}&as=poll&wait=${wait}`, wait }));
  }

  get(path) {
    return new Promise((resolve, reject) => {
      const request = http.get(this.url + path, { agent: this.#agent }, async (answer) => {
        let body = "";
        for await (const piece of answer.setEncoding("utf8")) body += piece;
        resolve({ status: answer.statusCode, headers: answer.headers, body, path });
      });
      request.on("error", reject);
    });
  }

  start() {
    this.running = this.clients.map((client) => this.#poll(client));
  }

  async #poll(client) {
    while (!this.#over) {
      client.asked.push(client.next);
      const answer = await this.get(client.next).catch((error) => ({ error }));
      if (this.#over) return;
      if (answer.error) throw answer.error;
      this.answers.push(answer);
      if (answer.status === 204) {
        client.next = /<([^>]*)>; rel="next"/.exec(answer.headers.link)[1];
      } else {
        const { frames, cursor } = JSON.parse(answer.body);
        client.numbers.push(...frames.map(({ data }) => data.n));
        client.at = performance.now();
        client.next = `/v1/${ROOM}?after=${cursor}&as=poll&wait=${client.wait}`;
      }
      this.heard?.();
    }
  }

  /** Resolves when it holds; looks whenever somebody got an answer. */
  async until(holds) {
    const end = Promise.all(this.running); // rejects when one of them fails
    while (!holds()) await Promise.race([end, new Promise((resolve) => (this.heard = resolve))]);
  }

  /** Ends all, and resolves when their connections are closed. */
  async stop() {
    this.#over = true;
    this.#agent.destroy();
    await Promise.all(this.running);
  }
}

/** How often an answer may be fetched again while it reaches everyone. nginx's clock stands still while it is busy. */
const again = (slowest) => Math.ceil(Math.max(0, slowest - 800) / 1_000);

const told = (answers, status) => answers.filter(({ headers }) => headers["x-cache-status"] === status).length;

async function inNginx(proxy, count) {
  while ((await proxy.underWay()) !== count) await new Promise((resolve) => setImmediate(resolve));
}

const polls = async (gateway) => (await gateway.metric('tidegate_polls_total{outcome="frames"}')) + (await gateway.metric('tidegate_polls_total{outcome="nothing"}'));

/** `CHANGES` changes for all; resolves to how long each took to reach each, in ms. */
async function rounds(gateway, crowd, everyoneWaits) {
  const ms = [];
  const spent = { MISS: 0, EXPIRED: 0, requests: 0 };
  crowd.start();
  for (let n = 1; n <= CHANGES; n++) {
    await everyoneWaits();
    const before = await polls(gateway);
    crowd.answers.length = 0;
    await gateway.publishNumbers(ROOM, n, n);
    const published = performance.now();
    await crowd.until(() => crowd.clients.every(({ numbers }) => numbers.length >= n));
    const took = crowd.clients.map(({ at }) => at - published);
    ms.push(...took);
    const frames = crowd.answers.filter(({ status }) => status === 200);
    spent.requests += (await polls(gateway)) - before;
    spent.MISS += told(frames, "MISS");
    spent.EXPIRED += told(frames, "EXPIRED");
    spent.slowest = Math.max(spent.slowest ?? 0, ...took);
  }
  for (const { numbers } of crowd.clients) assert.deepEqual(numbers, Array.from({ length: CHANGES }, (_, index) => index + 1));
  ms.sort((a, b) => a - b);
  const at = (part) => Math.round(ms[Math.min(ms.length - 1, Math.floor(part * ms.length))]);
  return { ...spent, text: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, last ${at(1)} ms after the publish was acknowledged` };
}

test("a thousand who long-poll through nginx cost one request a change", { timeout: 180_000 }, async (t) => {
  const gateway = await Gateway.start(t, { config });
  const proxy = await cache(t, gateway.url, CLIENTS);
  const { cursor } = await gateway.json(`/v1/${ROOM}`);
  const crowd = new Crowd(proxy.url, cursor, "60s", CLIENTS);
  const through = await rounds(gateway, crowd, () => inNginx(proxy, CLIENTS));
  await crowd.stop();
  assert.equal(through.MISS, CHANGES, "one fetches what is new");
  assert.equal(through.requests, through.MISS + through.EXPIRED, "Tidegate counts what nginx says");
  assert.ok(through.EXPIRED <= CHANGES * again(through.slowest), `${through.EXPIRED} fetched again, the slowest after ${through.slowest} ms`);
  t.diagnostic(`through nginx: ${through.requests} requests for ${CHANGES} changes; ${through.text}`);
});

test("whose wait is over goes on where the others are", { timeout: 120_000 }, async (t) => {
  const gateway = await Gateway.start(t, { config });
  const proxy = await cache(t, gateway.url, 50);
  const { cursor } = await gateway.json(`/v1/${ROOM}`);
  const crowd = new Crowd(proxy.url, cursor, "2s", 50);
  crowd.start();
  await crowd.until(() => crowd.clients.every(({ asked }) => asked.length > 3));
  await gateway.publishNumbers(ROOM, 1, 1);
  await crowd.until(() => crowd.clients.every(({ numbers }) => numbers.length === 1));
  await crowd.stop();
  for (const { asked } of crowd.clients) assert.equal(new Set(asked).size, asked.length, "nobody asks the same again");
  for (const path of new Set(crowd.answers.map(({ path }) => path))) {
    assert.equal(told(crowd.answers.filter((answer) => answer.path === path), "MISS"), 1, `one fetches ${path}`);
  }
});

test("a catch-up page comes from the cache, and is what Tidegate would say", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t, { config });
  const proxy = await cache(t, gateway.url, 10);
  const { cursor } = await gateway.json(`/v1/${ROOM}`);
  await publish(ROOM, Array.from({ length: 25 }, (_, n) => ({ n })), { url: gateway.url });
  const page = `/v1/${ROOM}?after=${cursor}&limit=10&as=json`;
  const get = async (url, path) => {
    const answer = await fetch(url + path);
    return { status: answer.headers.get("x-cache-status"), control: answer.headers.get("cache-control"), link: answer.headers.get("link"), body: await answer.text() };
  };
  const [first, second, direct] = [await get(proxy.url, page), await get(proxy.url, page), await get(gateway.url, page)];
  assert.deepEqual([first.status, second.status], ["MISS", "HIT"]);
  assert.match(second.control, /^public, max-age=60\d{4}, immutable$/); // almost 7 days
  assert.deepEqual([second.body, second.link], [direct.body, direct.link]);

  await t.test("also while Tidegate is away, and when it is back", async () => {
    await gateway.kill();
    assert.deepEqual(await get(proxy.url, page), second);
    await gateway.start();
    assert.equal((await get(gateway.url, page)).body, second.body);
  });

  await t.test("streams, rows and writes pass by it", async (t) => {
    const streams = [1, 2, 3].map((n) => tidegate(t, proxy.url, ROOM, { query: { from: "start" }, name: `stream ${n}` }));
    await Promise.all(streams.map((stream) => stream.untilNumber(24)));
    await publish(ROOM, { n: 25 }, { url: proxy.url });
    await Promise.all(streams.map((stream) => stream.untilNumber(25)));
    assert.equal((await get(proxy.url, `/v1/${ROOM}?limit=1`)).status, "BYPASS");
  });

  await t.test("what a header asks for does not get into it", async () => {
    const head = (await gateway.json(`/v1/${ROOM}`)).cursor;
    const other = `/v1/${ROOM}?after=${cursor}&limit=20&as=json`;
    const answer = await fetch(gateway.url + other, { headers: { "Last-Event-ID": head } });
    assert.deepEqual([answer.status, answer.headers.get("cache-control")], [204, "no-store"]);
    await fetch(proxy.url + other, { headers: { "Last-Event-ID": head } });
    assert.equal((await get(proxy.url, other)).body, (await get(gateway.url, other)).body);
  });
});
