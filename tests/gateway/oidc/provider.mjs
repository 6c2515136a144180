// An OpenID provider on loopback, for tests: it signs in whoever is named and asks nothing.
import http from "node:http";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, redirect] = process.argv.slice(2);
const key = (kid) => ({ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" });
const people = {
  sara: { sub: "sara", name: "Sara", email: "sara@example.com", email_verified: true, groups: ["sellers"] },
  tom: { sub: "tom", name: "Tom", email: "tom@example.com", email_verified: false, groups: ["reader"] },
  eve: { sub: "eve", name: "Eve", email: "eve@example.com", email_verified: true, groups: ["strangers"] },
};

const made = (kid) => {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: "shuke", client_secret: "of: the+test, 100% of it", redirect_uris: [redirect] }],
    jwks: { keys: [key(kid)] },
    cookies: { keys: ["for tests alone"] },
    claims: { openid: ["sub"], profile: ["name", "groups"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => people[id] },
    interactions: { url: (_, interaction) => `/as/${interaction.uid}` },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: "shuke" });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  return provider;
};

let provider = made("one");
let handle = provider.callback();
http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  if (url.pathname === "/rotate") {
    provider = made("two");
    handle = provider.callback();
    response.end("rotated");
  } else if (url.pathname.startsWith("/as/")) {
    const login = { accountId: url.searchParams.get("who") ?? request.headers["x-who"] };
    await provider.interactionFinished(request, response, { login });
  } else {
    handle(request, response);
  }
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
