// What a receiver answers over HTTP, and what its attempt then shows: redirects, empty answers, no answer.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Client, start } from "./client.ts";

type Arrival = { method: string; path: string; body: string; type: string | undefined };
const arrivals: Arrival[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on("end", () => {
    const { method = "", url: path = "", headers } = request;
    arrivals.push({ method, path, body, type: headers["content-type"] });
    answer(request, response);
  });
});
let url = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

let client: Client;
beforeEach(() => {
  arrivals.length = 0;
  client = start();
});
afterEach(() => client.convoy.close());

type Attempt = Record<string, unknown> & { error?: string };

/** Delivers one event to a receiver that gives this answer. */
async function deliverTo(reply: typeof answer, path = "/hook") {
  answer = reply;
  await client.event(await client.endpoint({ url: `${url}${path}` }), "k");
  await client.convoy.idle();
  const [delivery] = await client.deliveries();
  const attempts = `/eventdeliveries/${delivery?.id}/deliveryattempts`;
  const [attempt] = (await client.call<Attempt[]>("GET", attempts)).data;
  return { status: delivery?.status, kept: delivery?.kept, attempt: attempt!, id: delivery!.id };
}

const redirecting =
  (status: number, to: string): typeof answer =>
  (request, response) => {
    if (request.url === "/hook") response.writeHead(status, { Location: to }).end("moved");
    else response.end("ok");
  };

describe("a redirect is followed, and the final answer counts", () => {
  test.each([301, 302, 303])("%d becomes a GET without a body", async (status) => {
    const { status: outcome, attempt } = await deliverTo(redirecting(status, "/there?a=1"));
    expect([outcome, attempt.http_status]).toEqual(["Success", "200 OK"]);
    expect(arrivals[1]).toEqual({ method: "GET", path: "/there?a=1", body: "", type: undefined });
  });

  test.each([307, 308])("%d keeps method and body", async (status) => {
    expect((await deliverTo(redirecting(status, `${url}/there`))).status).toBe("Success");
    expect(arrivals[1]).toEqual({ ...arrivals[0], path: "/there" });
  });

  test("a failure at its end is a failure", async () => {
    const { status, attempt } = await deliverTo((request, response) => {
      if (request.url === "/hook") response.writeHead(302, { Location: "/there" }).end();
      else response.writeHead(404).end();
    });
    expect([status, attempt.http_status]).toEqual(["Retry", "404 Not Found"]);
  });

  test("a loop ends after ten", async () => {
    const { status, attempt } = await deliverTo((_, response) =>
      response.writeHead(302, { Location: "/hook" }).end(),
    );
    expect([status, attempt.error]).toEqual(["Retry", "stopped after 10 redirects"]);
    expect(arrivals).toHaveLength(11);
  });

  test("one off this machine is not followed, and counts as a success", async () => {
    const { status } = await deliverTo(redirecting(307, "https://elsewhere.test/"));
    expect([status, arrivals.length]).toEqual(["Success", 1]);
  });

  test.each(["ftp://127.0.0.1/", "http://["])("one to %s is an error", async (to) => {
    const { status, attempt } = await deliverTo(redirecting(302, to));
    expect([status, attempt.error]).toEqual(["Retry", expect.stringContaining(to)]);
  });
});

describe("an attempt", () => {
  test("without an HTTP answer has an error and no http_status, response_data or status", async () => {
    const { status, attempt, id } = await deliverTo((request) => request.socket.destroy());
    expect(status).toBe("Retry");
    expect(attempt).toMatchObject({ error: expect.any(String), responded_at: null });
    for (const name of ["http_status", "response_data", "status"])
      expect(attempt).not.toHaveProperty(name);
    const detail = await client.inbox<{ attempt_list: object[] }>("GET", `/deliveries/${id}`);
    expect(detail.attempt_list).toMatchObject([{ status: null, ok: false, responded_at: null }]);
  });

  test("with an empty 200 has no response_data", async () => {
    const { status, attempt } = await deliverTo((_, response) => response.end());
    expect([status, attempt.http_status, attempt.status]).toEqual(["Success", "200 OK", true]);
    expect(attempt).not.toHaveProperty("response_data");
  });

  test("fails with EOF if an answer claims to be gzip but is empty, as wrangler's 204 does", async () => {
    const { status, attempt } = await deliverTo((_, response) =>
      response.writeHead(204, { "Content-Encoding": "gzip" }).end(),
    );
    expect([status, attempt.error]).toEqual(["Retry", "EOF"]);
  });

  test("succeeds with a 204 that does not claim to be gzip", async () => {
    const { status } = await deliverTo((_, response) => response.writeHead(204).end());
    expect(status).toBe("Success");
  });

  test("shows a gzip body as text", async () => {
    const { status, attempt } = await deliverTo((_, response) =>
      response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync("thanks")),
    );
    expect([status, attempt.response_data]).toEqual(["Success", "thanks"]);
  });
});
