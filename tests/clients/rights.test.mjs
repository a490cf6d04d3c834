// Rights that depend on who is a member, for clients of two kinds that Rust tests have not: node's HTTP/2, and `tidegate.js`
// that watches through it all. Nobody is told of a room while not in it, and an open stream goes on.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import http2 from "node:http2";
import { test } from "node:test";
import { watch } from "../../portal/tidegate.js";
import { Gateway } from "./gateway.mjs";

const SECRET = "0123456789abcdef0123456789abcdef";
const ISSUER = "https://id.example.org";
const ROUNDS = 40;

const config = ({ listen, folder }) => `
listen: 127.0.0.1:${listen}
admin: { listen: 127.0.0.1:0 }
log: { path: ${folder}/data }
gate:
  issuers:
    test: { issuer: "${ISSUER}", audience: tidegate, algorithms: HS256, secret: ${SECRET} }
channels:
  members:
    address: rooms/{room}/members
    key: [room, user]
    access:
      publish: claims.sub == "owner"
  messages:
    address: rooms/{room}/messages
    access:
      read: exists("members", [params.room, claims.sub])
      publish: claims.sub == "owner"
  notes:
    address: notes/{shelf}
    key: id
    access:
      read: has(claims.sub)
      publish: claims.sub == "owner"
      rows: exists("members", [data.room, claims.sub])
`;

function token(sub) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256" })}.${part({ iss: ISSUER, aud: "tidegate", sub, exp: Math.floor(Date.now() / 1_000) + 3_600 })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

/** Opens a stream on the session, again whenever it ends; `heard` gets each frame. */
function follow(session, path, heard) {
  const seen = { opened: 0, ended: 0 };
  const open = () => {
    if (session.closed || session.destroyed) return;
    const stream = session.request({ ":path": `/v1/${path}`, authorization: `Bearer ${token("ann")}`, accept: "application/x-ndjson" });
    let rest = "";
    stream.on("response", (head) => (seen.opened += head[":status"] === 200 ? 1 : 0));
    stream.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      lines.filter((line) => line.includes('"op"')).forEach((line) => heard(JSON.parse(line)));
    });
    stream.on("error", () => {}).on("close", () => {
      seen.ended++;
      setTimeout(open, 3);
    });
  };
  open();
  return seen;
}

test("members come and go under streams of HTTP/2 and under tidegate.js", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.start(t, { config });
  const send = async (method, path, body) => {
    const headers = { Authorization: `Bearer ${token("owner")}`, "Content-Type": "application/json" };
    const answer = await fetch(`${gateway.url}/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
  };
  const join = () => send("POST", "rooms/lobby/members", { room: "lobby", user: "ann" });
  const part = () => send("DELETE", `rooms/lobby/members?key=${encodeURIComponent('["lobby","ann"]')}`);
  let [said, shown] = [0, 0];
  const hidden = new Set();
  const leaks = [];
  const say = async () => {
    said++;
    await send("POST", "notes/a", { id: `k${said % 3}`, room: "lobby", n: said });
    await send("POST", "rooms/lobby/messages", { n: said });
  };
  const check = (frame) => {
    const n = frame.data?.n;
    if (hidden.has(n) && n > shown) leaks.push(frame);
    return n ?? 0;
  };
  const newest = [0, 0, 0];
  const reasons = new Set();
  // What breaks it ends its streams, which are counted; the server is stopped before it when all is over.
  const session = http2.connect(gateway.url).on("error", () => {});
  t.after(() => session.destroy());
  const heard = (at) => (frame) => {
    newest[at] = Math.max(newest[at], check(frame));
    if (frame.op === "reset" || frame.op === "close" || frame.op === "notice") reasons.add(frame.reason ?? frame.code);
  };
  await join();
  const rows = follow(session, "notes/a", heard(0));
  const events = follow(session, "notes/a?from=start", heard(1));
  follow(session, "rooms/lobby/messages?from=start", heard(2));
  const own = watch("notes/a", { url: gateway.url, token: () => token("ann"), onFrame: check });
  t.after(() => own.close());

  for (let round = 0; round < ROUNDS; round++) {
    await part();
    for (let more = 1; more <= 3; more++) hidden.add(said + more);
    for (let more = 1; more <= 3; more++) await say();
    shown = said;
    await join();
    await say();
  }
  const until = async (what, holds) => {
    while (!holds()) {
      assert.ok(!t.signal.aborted, `never ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await until("up to date", () => newest.every((n) => n === said) && [...own.rows.values()].some(({ data }) => data.n === said));
  assert.deepEqual(leaks, []);
  assert.deepEqual([rows.ended, events.ended], [0, 0], "an open stream goes on");
  assert.deepEqual([own.rows.size, own.lost, own.doubled, own.status.state], [3, 0, 0, "open"]);
  for (const reason of ["rights", "rights-changed", "forbidden"]) assert.ok(reasons.has(reason), `${reason} in ${[...reasons]}`);
  await part();
  await until("empty", () => own.rows.size === 0);
});
