// A short journey by the client that is made from the OpenAPI document: node journey.js URL KEY
import createClient from "openapi-fetch";
import type { components, paths } from "./shuke.js";

const [url, key] = process.argv.slice(2);
const shuke = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const made = await shuke.POST("/v1/purchases", {
  params: { header: { "Idempotency-Key": "typescript-1" } },
  body: {
    source_id: "typescript-1",
    identifier: { scheme: "external", system: "shop", value: "typescript" },
    occurred_at: new Date(Date.now() - 60_000).toISOString(),
    amount_minor: 4990,
    currency: "USD",
  },
});
if (made.error) throw new Error(JSON.stringify(made.error));
const party = made.data.party_id;

let standing: components["schemas"]["ReasonedStanding"] | undefined;
for (let tries = 0; tries < 100 && standing?.stage !== "customer"; tries++) {
  const read = await shuke.GET("/v1/standings/{party_id}", { params: { path: { party_id: party } } });
  standing = read.data;
  if (standing?.stage !== "customer") await new Promise((done) => setTimeout(done, 100));
}

const refused = await shuke.GET("/v1/standings/{party_id}", { params: { path: { party_id: "nobody" } } });
console.log(JSON.stringify({ party, stage: standing?.stage, refused: refused.error?.code }));
