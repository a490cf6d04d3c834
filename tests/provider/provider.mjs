// A real OpenID provider on a free port of loopback, led by a test: each line of standard input is a command, each is
// answered by one line. It ends with its standard input, so that it never outlives the test.
//
//   {"do":"token","resource":"https://tide.example","scope":"read"}   → {"token":"…","expires_in":600}
//        of the client "others" with "client":"others"
//   {"do":"lasts","seconds":10}                                       → {}            so long, from the next token on
//   {"do":"revoke","token":"…"}                                       → {}
//   {"do":"rotate"}                                                   → {"kid":"…"}   new keys, the old ones are gone
//   {"do":"stop"}, {"do":"start"}                                     → {}            on the same port
//
// Its arguments are what it signs with, and where it is to speak TLS a certificate and its key.
// Tokens are those of the client credentials grant: JWTs (RFC 9068) for resources, opaque text for those that end with `/opaque`.
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const CLIENT = { client_id: "tests", client_secret: "a password: of tests+%" };
const OTHERS = { client_id: "others", client_secret: "a password of others" };
const [ALGORITHM = "ES256", cert, key] = process.argv.slice(2);

let issuer;
let current;
let lasts = 600;
const server = cert
  ? createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer)
  : createServer(answer);

function answer(request, response) {
  // No connection is kept, so that none is found dead after a stop.
  response.setHeader("connection", "close");
  return current.callback()(request, response);
}

function keys() {
  const kid = randomUUID();
  const pair = ALGORITHM.startsWith("ES")
    ? generateKeyPairSync("ec", { namedCurve: ALGORITHM === "ES384" ? "P-384" : "P-256" })
    : ALGORITHM === "EdDSA"
      ? generateKeyPairSync("ed25519")
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: "jwk" }), kid, use: "sig", alg: ALGORITHM };
}

function provider(key) {
  return new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [CLIENT, OTHERS].map((client) => ({
      ...client,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: ALGORITHM,
    })),
    enabledJWA: { idTokenSigningAlgValues: [ALGORITHM] },
    scopes: ["read", "write"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: "read write",
          audience: resource,
          accessTokenTTL: lasts,
          accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
          jwt: { sign: { alg: ALGORITHM } },
        }),
      },
    },
  });
}

async function post(path, form, client = CLIENT) {
  const password = [client.client_id, client.client_secret].map(encodeURIComponent).join(":");
  const answer = await fetch(`${issuer}${path}`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(password).toString("base64")}` },
    body: new URLSearchParams(form),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}: ${text}`);
  return text ? JSON.parse(text) : {};
}

const commands = {
  async token({ resource, scope, client }) {
    const form = { grant_type: "client_credentials", resource, scope };
    const answer = await post("/token", form, client === OTHERS.client_id ? OTHERS : CLIENT);
    return { token: answer.access_token, expires_in: answer.expires_in };
  },
  async lasts({ seconds }) {
    lasts = seconds;
    return {};
  },
  async revoke({ token }) {
    return post("/token/revocation", { token });
  },
  async rotate() {
    const key = keys();
    current = provider(key);
    return { kid: key.kid };
  },
  async stop() {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    return {};
  },
  async start() {
    await listen(Number(new URL(issuer).port));
    return {};
  },
};

function listen(port) {
  return new Promise((done, failed) => server.once("error", failed).listen(port, "127.0.0.1", done));
}

await listen(0);
issuer = `${cert ? "https" : "http"}://127.0.0.1:${server.address().port}`;
await commands.rotate();
console.log(JSON.stringify({ issuer, ...CLIENT }));

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer = await commands[command.do](command).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
