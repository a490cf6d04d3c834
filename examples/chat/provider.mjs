// An OpenID provider on loopback where any name signs in, whatever its password: npm `oidc-provider` as it is. Your own
// provider takes its place by `issuer` and `audience` in tidegate.yaml, and by the first lines of index.html's script.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const ISSUER = new URL("http://127.0.0.1:9000");
const PAGE = "http://127.0.0.1:8000/";
const CHAT = "urn:example:chat"; // what its tokens are for

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const provider = new Provider(ISSUER.origin, {
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" }] },
  // A page keeps no secret: it proves by PKCE that it is the one that asked.
  clients: [{ client_id: "chat", redirect_uris: [PAGE], token_endpoint_auth_method: "none", id_token_signed_response_alg: "ES256" }],
  clientBasedCORS: (_, origin) => origin === new URL(PAGE).origin,
  cookies: { keys: [randomUUID()] },
  findAccount: (_, name) => ({ accountId: name, claims: () => ({ sub: name }) }),
  features: {
    devInteractions: { enabled: true }, // its own pages, where any password is right
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "chat", audience: CHAT, accessTokenTTL: 3_600, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
    },
  },
});
provider.listen(Number(ISSUER.port), ISSUER.hostname, () => console.log(`people sign in at ${ISSUER.origin}`));
