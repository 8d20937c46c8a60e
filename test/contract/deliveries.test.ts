// What a receiver sees of a delivery, over HTTP, against recorded-deliveries.json: headers, bytes, signature.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createConvoy } from "../../local/convoy/index.ts";
import recorded from "../fixtures/recorded-deliveries.json" with { type: "json" };

type Arrival = { headers: Record<string, string>; body: string; path: string };
type Case = {
  case: string;
  secret?: string;
  secrets?: string[];
  posted_raw?: string;
  received?: Arrival[];
  first?: Arrival;
};

/** The endpoints' secrets if a case does not name them: those of recorded-more.json. */
const SECRETS: Record<string, string[]> = {
  "/simple": ["whsec_simple_1", "whsec_simple_2"],
  "/advanced": ["whsec_adv_1", "whsec_adv_2"],
};

const arrivals: Arrival[] = [];
const server = createServer((request, response) => {
  void read(request).then((arrival) => {
    arrivals.push(arrival);
    response.end("ok");
  });
});
let port = 0;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => void server.close());

async function read(request: IncomingMessage): Promise<Arrival> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers: Record<string, string> = {};
  for (let at = 0; at < request.rawHeaders.length; at += 2)
    headers[request.rawHeaders[at]!] = request.rawHeaders[at + 1]!;
  return { headers, body: Buffer.concat(chunks).toString("utf8"), path: request.url ?? "" };
}

const cases = (recorded as Case[]).flatMap((one) =>
  [...(one.received ?? []), ...(one.first ? [one.first] : [])].map((arrival, at) => ({
    name: `${one.case} (${at + 1})`,
    given: one,
    arrival: { ...arrival, path: arrival.path ?? "/fail" },
  })),
);

test("the recording has 13 arrivals", () => {
  expect(cases).toHaveLength(13);
});

test.each(cases)("$name arrives as recorded", async ({ given, arrival }) => {
  const signedAtS = Number(/t=(\d+)/.exec(arrival.headers["X-Convoy-Signature"]!)![1]);
  const convoy = createConvoy({ now: () => signedAtS * 1000 });
  const call = async (method: string, path: string, body: string) => {
    const response = await convoy.fetch(
      new Request(`http://x.convoy.test/api/v1/projects/local${path}`, {
        method,
        headers: { Authorization: "Bearer local" },
        body,
      }),
    );
    expect(response.ok).toBe(true);
    return (await response.json()) as { data: { uid: string } };
  };

  const named = given.secrets ?? (given.secret ? [given.secret] : undefined);
  const [secret = "x", newer] = named ?? SECRETS[arrival.path] ?? [];
  const url = `http://127.0.0.1:${port}${arrival.path}`;
  const made = await call("POST", "/endpoints", JSON.stringify({ name: "e", url, secret }));
  const { uid } = made.data;
  await call("POST", "/subscriptions", JSON.stringify({ name: "s", endpoint_id: uid }));
  if (newer)
    await call("PUT", `/endpoints/${uid}/expire_secret`, `{"secret":"${newer}","expiration":1}`);
  const key = arrival.headers["X-Convoy-Idempotency-Key"];
  const custom = arrival.headers["X-Todo-Event-Id"];
  const headers = custom ? `"custom_headers":{"x-todo-event-id":"${custom}"},` : "";
  const posted =
    given.posted_raw?.replace(/"endpoint_id":"\w+"/, `"endpoint_id":"${uid}"`) ??
    `{"endpoint_id":"${uid}","event_type":"created","idempotency_key":"${key}",${headers}"data":${arrival.body}}`;

  arrivals.length = 0;
  await call("POST", "/events", posted);
  await convoy.idle();
  await convoy.close();

  expect(arrivals).toHaveLength(1);
  const [seen] = arrivals as [Arrival];
  expect(seen.body).toBe(arrival.body);
  const expected = { ...arrival.headers, Host: `127.0.0.1:${port}` };
  // As pairs, since the order on the wire is part of what was recorded.
  expect(Object.entries(seen.headers)).toEqual(Object.entries(expected));
});
