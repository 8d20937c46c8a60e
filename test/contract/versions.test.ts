// What was seen on real servers beyond the recordings: where v26.6 and v26.7 differ, and what both do.
import { afterEach, describe, expect, test } from "vitest";
import { VERSIONS } from "../../local/convoy/context.ts";
import type { ConvoyVersion } from "../../local/convoy/index.ts";
import { type Client, type Paged, receiver, start } from "../local/client.ts";

const MINUTE_MS = 60_000;
const NOON = Date.parse("2026-11-24T12:00:00Z");

type Scene = {
  client: Client;
  clock: { now: number };
  got: ReturnType<typeof receiver>["got"];
  /** Posts an event and waits until Convoy is idle. */
  sends(endpointId: string, key: string): Promise<void>;
  /** The newest event of the API's list. */
  newest(): Promise<{ status: string; endpoints: string[]; failure_reason?: string }>;
  /** The statuses in the API's list of deliveries, newest first. */
  statuses(): Promise<string[]>;
};

let scene: Scene;
afterEach(() => scene.client.convoy.close());

function open(version: ConvoyVersion, licensed = false): Scene {
  const clock = { now: NOON };
  const { got, deliver } = receiver();
  const client = start({ version, licensed, deliver, now: () => clock.now });
  const list = async <Row>(what: string) =>
    (await client.call<Paged<Row>>("GET", `/${what}`)).data.content;
  scene = {
    client,
    clock,
    got,
    async sends(endpointId, key) {
      await client.event(endpointId, key);
      await client.convoy.idle();
    },
    newest: async () => (await list<Awaited<ReturnType<Scene["newest"]>>>("events?perPage=1"))[0]!,
    statuses: async () =>
      (await list<{ status: string }>("eventdeliveries")).map((one) => one.status),
  };
  return scene;
}

const withoutSubscription = async ({ client }: Scene): Promise<string> => {
  const fields = { name: "bare", url: "http://127.0.0.1:9/hook" };
  return (await client.call<{ uid: string }>("POST", "/endpoints", fields)).data.uid;
};
const filter = { filter_config: { event_types: ["other"] } };
/** An endpoint whose subscription does not take what `sends` sends; needs a licence. */
const filtered = async (at: Scene): Promise<string> => {
  const id = await withoutSubscription(at);
  await at.client.call("POST", "/subscriptions", { name: "s", endpoint_id: id, ...filter });
  return id;
};
const pause = ({ client }: Scene, id: string) => client.call("PUT", `/endpoints/${id}/pause`);
const paths = ({ got }: Scene) => got.map((one) => one.path);

type Subscription = { uid: string; filter_config: { event_types: string[] } };

/** What each version shows; `see` starts with a new Convoy. */
type Difference = {
  what: string;
  see(scene: Scene): Promise<unknown>;
  "26.6": unknown;
  "26.7": unknown;
  /** Shown by one with a licence; by default, it has none. */
  licensed?: true;
};

const DIFFERENCES: Difference[] = [
  {
    what: "an event that no subscription takes is a Failure, with or without a reason",
    licensed: true,
    async see(at) {
      const id = await filtered(at);
      await at.sends(id, "k");
      const { status, endpoints, failure_reason } = await at.newest();
      return { status, endpoints: endpoints.length, failure_reason };
    },
    "26.6": { status: "Failure", endpoints: 1, failure_reason: undefined },
    "26.7": {
      status: "Failure",
      endpoints: 1,
      failure_reason: "no subscription matched this event",
    },
  },
  {
    what: "an endpoint without a subscription gets its events, or none",
    async see(at) {
      await at.sends(await withoutSubscription(at), "k");
      const { data } = await at.client.call<Paged<unknown>>("GET", "/subscriptions");
      return [(await at.newest()).status, at.got.length, data.content.length];
    },
    "26.6": ["Success", 1, 1],
    "26.7": ["Failure", 0, 0],
  },
  {
    what: "the first three events at once for such an endpoint make later ones come three times, or none come",
    async see(at) {
      const id = await withoutSubscription(at);
      await Promise.all(["a", "b", "c"].map((key) => at.client.event(id, key)));
      await at.client.convoy.idle();
      const first = at.got.length;
      await at.sends(id, "d");
      return [first, at.got.length - first];
    },
    "26.6": [3, 3],
    "26.7": [0, 0],
  },
  {
    what: "events for a reactivated endpoint are Discarded for up to two minutes, or arrive",
    async see(at) {
      const id = await at.client.endpoint();
      await pause(at, id);
      await at.sends(id, "paused");
      await pause(at, id);
      at.clock.now += 2 * MINUTE_MS - 1;
      await at.sends(id, "still");
      const { status } = await at.newest();
      at.clock.now += 1;
      await at.sends(id, "later");
      return [status, await at.statuses()];
    },
    "26.6": ["Success", ["Success", "Discarded", "Discarded"]],
    "26.7": ["Success", ["Success", "Success", "Discarded"]],
  },
  {
    what: "a paused endpoint still gets events for up to two minutes, or none",
    async see(at) {
      const id = await at.client.endpoint();
      await at.sends(id, "active");
      await pause(at, id);
      await at.sends(id, "still");
      at.clock.now += 2 * MINUTE_MS;
      await at.sends(id, "later");
      return at.statuses();
    },
    "26.6": ["Discarded", "Success", "Success"],
    "26.7": ["Discarded", "Discarded", "Success"],
  },
  {
    what: "a key posted several times at once is delivered each time, or once; the list by key shows one",
    async see(at) {
      const id = await at.client.endpoint();
      await at.client.faults({ stall: true });
      for (let posts = 0; posts < 3; posts++) await at.client.event(id, "k");
      await at.client.faults({ race_ms: 0 });
      await at.client.convoy.idle();
      await at.sends(id, "k");
      const byKey = "/eventdeliveries?idempotencyKey=k";
      const { data } = await at.client.call<Paged<unknown>>("GET", byKey);
      return [at.got.length, data.content.length];
    },
    "26.6": [3, 1],
    "26.7": [1, 1],
  },
  {
    what: "a retry for an endpoint that was deleted is sent for up to two minutes, or Discarded",
    async see({ client, statuses }) {
      const id = await client.endpoint();
      await client.faults({ deliveries: { status: 500 } });
      await client.event(id, "k");
      await client.convoy.idle();
      await client.call("DELETE", `/endpoints/${id}`);
      await client.faults({});
      const [delivery] = await client.deliveries();
      await client.inbox("POST", `/deliveries/${delivery?.id}/replay`);
      await client.convoy.idle();
      const { status, message } = await client.event(id, "after");
      return [await statuses(), status, message];
    },
    "26.6": [["Success"], 400, "endpoint not found"],
    "26.7": [["Discarded"], 400, "endpoint not found"],
  },
  {
    what: "a new URL is used after up to two minutes, or at once",
    async see(at) {
      const id = await at.client.endpoint({ url: "http://127.0.0.1:9/old" });
      await at.sends(id, "a");
      await at.client.call("PUT", `/endpoints/${id}`, {
        name: "e",
        url: "http://127.0.0.1:9/new",
      });
      await at.sends(id, "b");
      at.clock.now += 2 * MINUTE_MS;
      await at.sends(id, "c");
      return paths(at);
    },
    "26.6": ["/old", "/old", "/new"],
    "26.7": ["/old", "/new", "/new"],
  },
  {
    what: "a new secret signs after up to two minutes, or at once; the inbox checks as its receiver would",
    async see(at) {
      const id = await at.client.endpoint({ secret: "old" });
      const signatures: unknown[] = [];
      const send = async (key: string) => {
        await at.sends(id, key);
        const header = at.got.at(-1)?.headers.get("X-Convoy-Signature");
        const [delivery] = await at.client.deliveries();
        signatures.push([header?.match(/v1=/g)?.length, delivery?.signature.valid]);
      };
      await send("a");
      await at.client.call("PUT", `/endpoints/${id}/expire_secret`, {
        secret: "new",
        expiration: 1,
      });
      await send("b");
      at.clock.now += 2 * MINUTE_MS;
      await send("c");
      return signatures;
    },
    "26.6": [
      [1, true],
      [1, false],
      [2, true],
    ],
    "26.7": [
      [1, true],
      [2, true],
      [2, true],
    ],
  },
  {
    what: "a subscription's old filter applies for up to half a minute, or not at all",
    async see(at) {
      const id = await at.client.endpoint();
      await at.sends(id, "a");
      const { data } = await at.client.call<Paged<{ uid: string }>>("GET", "/subscriptions");
      const { uid } = data.content[0]!;
      await at.client.call("PUT", `/subscriptions/${uid}`, {
        filter_config: { event_types: ["other"] },
      });
      at.clock.now += 30_000 - 1;
      await at.sends(id, "b");
      at.clock.now += 1;
      await at.sends(id, "c");
      return at.got.length;
    },
    "26.6": 2,
    "26.7": 1,
    licensed: true,
  },
  {
    what: "without Redis every call is a 429 with Retry-After as a time, or all but new events with Retry-After in seconds",
    async see({ client, clock }) {
      const id = await client.endpoint();
      await client.faults({ redis_down: true });
      clock.now += 500;
      const seen = [];
      for (const [method, path, body] of [
        ["GET", "", undefined],
        ["GET", "/endpoints", undefined],
        ["PUT", `/endpoints/${id}/pause`, undefined],
        ["GET", "/eventdeliveries?idempotencyKey=k", undefined],
        ["PUT", "/eventdeliveries/none/resend", undefined],
        ["POST", "/events", { endpoint_id: id, event_type: "t", data: {}, idempotency_key: "k" }],
      ] as const) {
        const { status, message, headers } = await client.call(method, path, body);
        const limits = ["Retry-After", "X-Ratelimit-Reset"].map((name) => headers.get(name));
        seen.push([status, message, ...limits]);
      }
      const health = await client.request("/health");
      await client.faults({});
      await client.convoy.idle();
      const { data } = await client.call<Paged<unknown>>("GET", "/events");
      return [...seen, health.status, data.content];
    },
    "26.6": [
      ...Array.from({ length: 6 }, () => [
        429,
        "exceeded rate limit",
        `${NOON / 1000}`,
        "0.000000",
      ]),
      200,
      [],
    ],
    "26.7": [
      ...Array.from({ length: 5 }, () => [429, "exceeded rate limit", "1", "1"]),
      [201, "Event queued successfully", null, null],
      200,
      [],
    ],
  },
];

describe.each(VERSIONS)("on %s", (version) => {
  test.each(DIFFERENCES)("$what", async ({ see, [version]: expected, licensed }) => {
    expect(await see(open(version, licensed))).toEqual(expected);
  });

  test.each([
    [false, ["*"], ["Success", 1]],
    [true, ["other"], ["Failure", 0]],
  ])(
    "licensed %j: event types in a subscription are stored as %j, and as answered",
    async (licensed, types, outcome) => {
      const at = open(version, licensed);
      const filter_config = { event_types: ["other"] };
      const id = await withoutSubscription(at);
      const made = await at.client.call<Subscription>("POST", "/subscriptions", {
        name: "s",
        endpoint_id: id,
        filter_config,
      });
      expect([made.status, made.data.filter_config.event_types]).toEqual([201, types]);
      const path = `/subscriptions/${made.data.uid}`;
      const put = await at.client.call<Subscription>("PUT", path, { name: "s", filter_config });
      const now = await at.client.call<Subscription>("GET", path);
      for (const { data } of [put, now]) expect(data.filter_config.event_types).toEqual(types);
      await at.sends(id, "k");
      expect([(await at.newest()).status, at.got.length]).toEqual(outcome);
    },
  );

  test("the project is the key's, whatever the path says, and needs the key; it has no health route", async () => {
    const { client } = open(version);
    const ask = (path: string, key = "local") =>
      client.request(`/api/v1/projects/${path}`, { headers: { Authorization: `Bearer ${key}` } });
    const found = await ask("another");
    expect([found.status, (await found.json()) as object]).toMatchObject([
      200,
      { status: true, data: { uid: "local", type: "outgoing" } },
    ]);
    expect((await ask("local", "wrong")).status).toBe(401);
    const health = await ask("local/health");
    expect([health.status, await health.text()]).toEqual([404, "404 page not found\n"]);
    expect(await (await client.request("/health")).json()).toMatchObject({
      message: "Convoy v26.6.6",
    });
  });

  test("an unknown idempotency key lists no events, but is refused for deliveries; an unknown endpoint lists none", async () => {
    const { client, sends } = open(version);
    const events = await client.call<Paged<unknown>>("GET", "/events?idempotencyKey=unknown");
    expect([events.status, events.data.content]).toEqual([200, []]);
    const byKey = await client.call("GET", "/eventdeliveries?idempotencyKey=unknown");
    expect([byKey.status, byKey.message]).toEqual([400, "event not found"]);
    const byEndpoint = await client.call<Paged<unknown>>("GET", "/eventdeliveries?endpointId=no");
    expect([byEndpoint.status, byEndpoint.data.content]).toEqual([200, []]);

    await sends(await client.endpoint(), "known");
    const known = await client.call<Paged<unknown>>("GET", "/eventdeliveries?idempotencyKey=known");
    expect([known.status, known.data.content.length]).toEqual([200, 1]);
  });

  test("the key of a Failure is burnt: posted again it is a duplicate and stays in Processing", async () => {
    const at = open(version, true);
    const { client, got, clock } = at;
    const id = await filtered(at);
    await at.sends(id, "k");
    const listed = await client.call<Paged<{ uid: string }>>("GET", "/subscriptions");
    const path = `/subscriptions/${listed.data.content[0]?.uid}`;
    await client.call("PUT", path, { filter_config: { event_types: ["*"] } });
    clock.now += MINUTE_MS;
    await at.sends(id, "k");
    const { data } = await client.call<Paged<unknown>>("GET", "/events?idempotencyKey=k");
    expect(data.content).toMatchObject([
      { status: "Processing", is_duplicate_event: true },
      { status: "Failure", is_duplicate_event: false },
    ]);
    expect(got).toEqual([]);
  });

  test("a PUT clears what it omits, except secrets, signatures and owner, and stores owner_id", async () => {
    const { client } = open(version);
    const authentication = { type: "api_key", api_key: { header_name: "k", header_value: "v" } };
    const set = { authentication, rate_limit: 5, rate_limit_duration: 60, description: "d" };
    const id = await client.endpoint({
      ...set,
      owner_id: "ann",
      secret: "s",
      advanced_signatures: false,
    });
    const now = async () =>
      (await client.call<{ authentication: object }>("GET", `/endpoints/${id}`)).data;
    expect(await now()).toMatchObject(set);
    const names = { name: "n", url: "http://127.0.0.1:9/n" };
    expect((await client.call("PUT", `/endpoints/${id}`, names)).status).toBe(202);
    expect((await now()).authentication).toEqual({});
    expect(await now()).toMatchObject({
      ...names,
      rate_limit: 0,
      rate_limit_duration: 0,
      advanced_signatures: false,
      owner_id: "ann",
      secrets: [{ value: "s" }],
    });
    await client.call("PUT", `/endpoints/${id}`, { ...names, ...set, owner_id: "bob" });
    expect(await now()).toMatchObject({ ...names, ...set, owner_id: "bob" });
  });

  test("http_timeout is 10, whatever is requested: any other needs a licence", async () => {
    const { client } = open(version);
    const made = await client.call<{ uid: string }>("POST", "/endpoints", {
      name: "e",
      url: "http://127.0.0.1:9/hook",
      http_timeout: 30,
    });
    const put = await client.call("PUT", `/endpoints/${made.data.uid}`, {
      name: "e",
      url: "http://127.0.0.1:9/hook",
      http_timeout: 1,
    });
    expect([made.data, put.data]).toMatchObject([{ http_timeout: 10 }, { http_timeout: 10 }]);
  });
});
