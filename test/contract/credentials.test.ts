// What an endpoint authenticates with, recorded on v26.6.6 and v26.7.3 without a licence: taken, shown, sent.
import { afterEach, describe, expect, test } from "vitest";
import { VERSIONS } from "../../local/convoy/context.ts";
import type { ConvoyOptions } from "../../local/convoy/index.ts";
import { type Client, type Paged, receiver, start } from "../local/client.ts";

const HOOK = { name: "e", url: "http://127.0.0.1:9/hook" };
const keyed = (header_value: string) => ({
  type: "api_key",
  api_key: { header_name: "X-Api-Key", header_value },
});
const BASIC = { type: "basic_auth", basic_auth: { username: "u", password: "p" } };
const CERT = { client_cert: "-----BEGIN CERTIFICATE-----", client_key: "-----BEGIN KEY-----" };
const MASKED_CERT = { ...CERT, client_key: "[REDACTED]" };
const MASKED_BASIC = { ...BASIC, basic_auth: { username: "u", password: "[REDACTED]" } };

type Endpoint = { authentication: object | null; mtls_client_cert?: object };
type Delivery = { uid: string; headers: object };

let client: Client;
let got: ReturnType<typeof receiver>["got"];
let status = 200;
afterEach(() => client.convoy.close());

function open(options: ConvoyOptions = {}) {
  status = 200;
  const received = receiver(() => status);
  got = received.got;
  client = start({ deliver: received.deliver, ...options });
}
const put = (id: string, fields: object) =>
  client.call<Endpoint>("PUT", `/endpoints/${id}`, { ...HOOK, ...fields });
const shown = async (id: string) => (await client.call<Endpoint>("GET", `/endpoints/${id}`)).data;
const deliveries = async () =>
  (await client.call<Paged<Delivery>>("GET", "/eventdeliveries?sort=ASC")).data.content;
/** Sets what only a licensed dashboard can. */
const inDashboard = (id: string, fields: object) => client.inbox("PUT", `/endpoints/${id}`, fields);

describe.each(VERSIONS)("on %s", (version) => {
  test("an API key is stored, shown, and sent with each delivery, whose lists show it, too", async () => {
    open({ version });
    const id = await client.endpoint({ authentication: keyed("v") });
    expect((await shown(id)).authentication).toEqual(keyed("v"));
    await client.call("POST", "/events", {
      endpoint_id: id,
      event_type: "t",
      data: {},
      custom_headers: { "x-api-key": "forged", "X-Other": "o" },
    });
    await client.convoy.idle();
    const headers = { "X-Api-Key": "v", "X-Other": "o" };
    expect(Object.fromEntries(got[0]!.headers)).toMatchObject({ "x-api-key": "v", "x-other": "o" });
    const [delivery] = await deliveries();
    expect(delivery?.headers).toEqual({ "X-Api-Key": ["v"], "X-Other": ["o"] });
    const attempts = `/eventdeliveries/${delivery?.uid}/deliveryattempts`;
    const { data } = await client.call<object[]>("GET", attempts);
    expect(data).toMatchObject([{ request_http_header: headers }]);
  });

  test.each([
    ["basic_auth", BASIC, "Basic Auth feature unavailable, please upgrade your license"],
    ["oauth2", { type: "oauth2" }, "OAuth2 feature unavailable, please upgrade your license"],
    ["a key without a value", { type: "api_key", api_key: { header_name: "k" } }, /\w/],
    ["no key", { type: "api_key" }, "api key field is required"],
    ["another type", { type: "none" }, /\w/],
  ])("%s is a 400 and changes nothing", async (_, authentication, message) => {
    open({ version });
    const id = await client.endpoint({ authentication: keyed("v") });
    const made = await client.call("POST", "/endpoints", { ...HOOK, authentication });
    const changed = await put(id, { authentication });
    for (const answer of [made, changed]) {
      expect(answer.status).toBe(400);
      expect(answer.message).toMatch(message);
    }
    expect((await shown(id)).authentication).toEqual(keyed("v"));
    expect((await client.call<Paged<unknown>>("GET", "/endpoints")).data.content).toHaveLength(1);
  });

  test("a password and a private key are masked; a PUT without them loses one and keeps the other", async () => {
    open({ version });
    const id = await client.endpoint();
    await inDashboard(id, { authentication: BASIC, mtls_client_cert: CERT });
    const masked = { authentication: MASKED_BASIC, mtls_client_cert: MASKED_CERT };
    expect(await shown(id)).toMatchObject(masked);
    for (const fields of [{ authentication: MASKED_BASIC }, { mtls_client_cert: MASKED_CERT }])
      expect((await put(id, fields)).status).toBe(400);
    expect(await shown(id)).toMatchObject(masked);
    const { data } = await put(id, {});
    expect(data).toMatchObject({ authentication: null, mtls_client_cert: MASKED_CERT });
    await put(id, { mtls_client_cert: {} });
    expect(await shown(id)).not.toHaveProperty("mtls_client_cert");
  });

  test("contact addresses are neither stored nor refused", async () => {
    open({ version });
    const contacts = { support_email: "a@b.test", slack_webhook_url: "https://hooks.test/x" };
    const id = await client.endpoint(contacts);
    expect((await put(id, contacts)).status).toBe(202);
    for (const name of Object.keys(contacts)) expect(await shown(id)).not.toHaveProperty(name);
  });

  test("a delivery that exists is tried again although its endpoint was paused", async () => {
    open({ version, retry: { intervalMs: 5 } });
    status = 500;
    const id = await client.endpoint();
    await client.faults({ stall: true });
    await client.event(id, "k");
    await client.faults({});
    await client.convoy.idle();
    await client.call("PUT", `/endpoints/${id}/pause`);
    status = 200;
    await expect.poll(async () => (await client.deliveries())[0]?.status).toBe("Success");
  });
});

test("a changed key is sent from the next attempt on, while the delivery still shows the old one", async () => {
  open({ retry: { intervalMs: 5 } });
  status = 500;
  const id = await client.endpoint({ authentication: keyed("old") });
  await client.event(id, "k");
  await client.convoy.idle();
  await put(id, { authentication: keyed("new") });
  status = 200;
  await expect.poll(async () => (await client.deliveries())[0]?.status).toBe("Success");
  expect(got.at(-1)?.headers.get("X-Api-Key")).toBe("new");
  expect(await deliveries()).toMatchObject([{ headers: { "X-Api-Key": ["old"] } }]);
});

describe("with a licence", () => {
  test("a password is stored as it comes, and a mask destroys it", async () => {
    open({ licensed: true });
    const id = await client.endpoint({ authentication: BASIC });
    expect((await shown(id)).authentication).toEqual(MASKED_BASIC);
    await client.event(id, "a");
    expect((await put(id, { authentication: MASKED_BASIC })).status).toBe(202);
    await client.event(id, "b");
    await client.convoy.idle();
    const sent = got.map((one) => one.headers.get("Authorization"));
    expect(sent).toContain(`Basic ${btoa("u:[REDACTED]")}`);
  });

  test("a certificate needs a key that is one", async () => {
    open({ licensed: true });
    const id = await client.endpoint({ mtls_client_cert: CERT });
    expect((await shown(id)).mtls_client_cert).toEqual(MASKED_CERT);
    const answer = await put(id, { mtls_client_cert: MASKED_CERT });
    expect([answer.status, answer.message]).toEqual([
      400,
      expect.stringMatching(/^invalid mTLS client certificate/),
    ]);
    expect((await put(id, { mtls_client_cert: { client_cert: "c" } })).status).toBe(400);
  });
});
