// What the API answers while Postgres is down, recorded on v26.6.6 and v26.7.3 alike.
import { afterEach, describe, expect, test } from "vitest";
import { VERSIONS } from "../../local/convoy/context.ts";
import { type Client, type Paged, receiver, start } from "../local/client.ts";

let client: Client;
afterEach(() => client.convoy.close());

const EVENT = { endpoint_id: "ID", event_type: "t", data: {} };
const UNREACHABLE = /^failed to connect to `user=convoy database=convoy`/;

/** Method, path, body; status and message. ID stands for an endpoint that exists. */
const RECORDED: [string, string, object | undefined, number, string | RegExp][] = [
  ["GET", "", undefined, 200, "Project fetched successfully"],
  ["GET", "/endpoints/ID", undefined, 404, "Resource not found"],
  ["GET", "/endpoints/NONE", undefined, 404, "Resource not found"],
  ["GET", "/endpoints?ownerId=ann", undefined, 400, "Failed to load endpoints"],
  ["POST", "/endpoints", { name: "e", url: "http://127.0.0.1:9" }, 400, /while adding endpoint$/],
  ["PUT", "/endpoints/ID", { name: "e", url: "http://127.0.0.1:9" }, 400, UNREACHABLE],
  ["DELETE", "/endpoints/ID", undefined, 400, UNREACHABLE],
  ["PUT", "/endpoints/ID/pause", undefined, 400, "failed to find endpoint"],
  ["POST", "/endpoints/ID/activate", undefined, 400, "failed to find endpoint"],
  ["PUT", "/endpoints/ID/expire_secret", { expiration: 1 }, 400, UNREACHABLE],
  ["GET", "/subscriptions", undefined, 500, /while fetching subscriptions$/],
  [
    "POST",
    "/subscriptions",
    { name: "s", endpoint_id: "ID" },
    400,
    "failed to find endpoint by id",
  ],
  ["GET", "/events", undefined, 500, /while fetching app events$/],
  ["GET", "/events?idempotencyKey=k", undefined, 500, /while fetching app events$/],
  ["GET", "/events/NONE", undefined, 404, UNREACHABLE],
  ["POST", "/events", EVENT, 400, UNREACHABLE],
  ["GET", "/eventdeliveries", undefined, 500, /while fetching event deliveries$/],
  ["GET", "/eventdeliveries?idempotencyKey=k", undefined, 400, UNREACHABLE],
  ["GET", "/eventdeliveries/NONE", undefined, 404, UNREACHABLE],
  ["GET", "/eventdeliveries/NONE/deliveryattempts", undefined, 400, UNREACHABLE],
  ["PUT", "/eventdeliveries/NONE/resend", undefined, 400, UNREACHABLE],
  ["GET", "/event-types", undefined, 400, UNREACHABLE],
];

describe.each(VERSIONS)("with Postgres down on %s", (version) => {
  test.each(RECORDED)("%s %s %j is a %i", async (method, path, body, status, message) => {
    client = start({ version, deliver: receiver().deliver });
    const id = await client.endpoint({ owner_id: "ann" });
    await client.faults({ postgres_down: true });
    const sent = body && JSON.stringify(body).replace("ID", id);
    const answer = await client.call(method, path.replace("ID", id), sent);
    expect([answer.status, answer.message]).toEqual([
      status,
      typeof message === "string" ? message : expect.stringMatching(message),
    ]);
    await client.faults({});
    expect((await client.call<{ status: string }>("GET", `/endpoints/${id}`)).data.status).toBe(
      "active",
    );
    expect((await client.call<Paged<unknown>>("GET", "/endpoints")).data.content).toHaveLength(1);
  });

  test("nothing is delivered meanwhile, and what was accepted before is afterwards", async () => {
    const { got, deliver } = receiver();
    client = start({ version, deliver });
    const id = await client.endpoint();
    await client.faults({ stall: true });
    await client.event(id, "k");
    await client.faults({ postgres_down: true });
    await client.convoy.idle();
    expect(got).toHaveLength(0);
    await client.faults({});
    await client.convoy.idle();
    expect(got).toHaveLength(1);
  });
});
