// A watch whose token ends is given a fresh one by tidegate.js, on the same stream.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { tidegate } from "./clients.mjs";
import { Gateway, usual } from "./gateway.mjs";
import { publish } from "../../portal/tidegate.js";

const SECRET = "0123456789abcdef0123456789abcdef";
const ISSUER = "https://id.example.org";
const FIRST_MS = 6_000; // longer than the time after which it asks for a token again

const config = (given) => `${usual(given)}  mine:
    address: mine/{who}
    access: { read: "params.who == claims.sub", publish: "has(claims.sub)" }
gate:
  issuers:
    test: { issuer: "${ISSUER}", audience: tidegate, algorithms: HS256, secret: ${SECRET}, leeway: 1s }
`;

function token(seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ alg: "HS256", typ: "at+jwt" })}.${part({ iss: ISSUER, aud: "tidegate", sub: "ann", exp })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

for (const format of ["sse", "ndjson"]) {
  test(`tidegate.js over ${format}: the stream goes on over the end of its token`, { timeout: 60_000 }, async (t) => {
    const { url } = await Gateway.start(t, { config });
    let asked = 0;
    // The first one is given twice, as an application does that has not got a fresh one yet.
    const first = token(FIRST_MS / 1000);
    const options = { format, query: { token: () => (++asked < 3 ? first : token(3_600)) } };
    const client = tidegate(t, url, "mine/ann", options);
    await client.until("told of the end", ({ frames }) => frames.some(({ code }) => code === "token-expiring"));
    const ends = Date.now() + FIRST_MS + 2_000; // with the leeway
    for (let n = 1; Date.now() < ends; n++) await publish("mine/ann", { n }, { url, token: () => token(60) });
    await publish("mine/ann", { last: true }, { url, token: () => token(60) });
    await client.until("the last", ({ frames }) => frames.some(({ data }) => data?.last));
    const { frames, watch } = client;
    assert.equal(frames.filter(({ op }) => op === "begin").length, 1, "one stream");
    assert.equal(frames.filter(({ op }) => op === "close").length, 0, "no end");
    const numbers = frames.filter(({ data }) => data?.n).map(({ data }) => data.n);
    assert.deepEqual(numbers, numbers.map((_, at) => at + 1));
    assert.deepEqual([watch.lost, watch.doubled, watch.gaps], [0, 0, 0]);
  });
}
