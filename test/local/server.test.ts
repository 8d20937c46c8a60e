// The local Convoy over HTTP: only for this machine, only up to a size, and with the page's policy.
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { MAX_BODY_BYTES } from "../../local/convoy/api.ts";
import { type ServedConvoy, serveConvoy } from "../../local/convoy/server.ts";

let served: ServedConvoy;
beforeAll(async () => {
  served = await serveConvoy({ port: 0 });
});
afterAll(() => served.close());

/** fetch cannot set Host; node:http can. */
function ask(path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${served.url}${path}`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", reject).end();
  });
}

describe("who may ask", () => {
  test.each([
    ["its own address", {}, 200],
    ["localhost", { Host: "localhost:8081" }, 200],
    ["IPv6 loopback", { Host: "[::1]:8081" }, 200],
    ["the tutorial's 0.0.0.0", { Host: "0.0.0.0:8081" }, 200],
    ["a foreign Host: DNS rebinding", { Host: "attacker.example" }, 403],
    ["a Host that only starts like localhost", { Host: "localhost.attacker.example" }, 403],
    ["an invalid Host", { Host: "@" }, 400],
    ["its own page", { Host: "127.0.0.1:8081", Origin: "http://127.0.0.1:8081" }, 200],
    ["a page at its port 80", { Host: "localhost", Origin: "http://localhost" }, 200],
    ["a page at another port", { Host: "127.0.0.1:8081", Origin: "http://127.0.0.1:3000" }, 403],
    ["a page at port 80", { Host: "127.0.0.1:8081", Origin: "http://127.0.0.1" }, 403],
    ["a page under another name", { Host: "127.0.0.1:8081", Origin: "http://localhost:8081" }, 403],
    ["a page over TLS", { Host: "127.0.0.1:8081", Origin: "https://127.0.0.1:8081" }, 403],
    ["another site's script", { Origin: "https://attacker.example" }, 403],
    ["a sandboxed page", { Origin: "null" }, 403],
    [
      "another site's image tag",
      { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors" },
      403,
    ],
    [
      "an image tag on a page at another port",
      { "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors" },
      403,
    ],
    [
      "a link on another site",
      { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" },
      200,
    ],
  ])("%s", async (_, headers, status) => {
    for (const path of ["/", "/inbox/deliveries", "/health"])
      expect(await ask(path, headers)).toBe(status);
  });
});

test("a webhook to its own address is refused, and does not empty the inbox", async () => {
  const api = async (path: string, body: object) => {
    const response = await fetch(`${served.url}/api/v1/projects/local${path}`, {
      method: "POST",
      headers: { Authorization: "Bearer local" },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { data: { uid: string } };
  };
  const made = await api("/endpoints", { name: "e", url: `${served.url}/inbox/reset` });
  const endpoint_id = made.data.uid;
  await api("/subscriptions", { name: "s", endpoint_id });
  await api("/events", { endpoint_id, event_type: "ping", data: {} });
  await served.convoy.idle();
  const inbox = await fetch(`${served.url}/inbox/deliveries`);
  expect(await inbox.json()).toMatchObject({
    data: [{ endpoint_id, status: "Retry", error: "403 Forbidden" }],
  });
});

test("LOCAL_CONVOY_VERSION chooses the version to play, and must be a known one", async () => {
  const failureOf = async () => {
    const { url, convoy, close } = await serveConvoy({ port: 0, licensed: true });
    const ask = (method: string, path: string, body?: object) =>
      fetch(`${url}/api/v1/projects/local${path}`, {
        method,
        headers: { Authorization: "Bearer local" },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
    const made = await ask("POST", "/endpoints", { name: "e", url: "http://127.0.0.1:9/hook" });
    const { uid: endpoint_id } = ((await made.json()) as { data: { uid: string } }).data;
    for (const [path, body] of [
      ["/subscriptions", { name: "s", filter_config: { event_types: ["other"] } }],
      ["/events", { event_type: "t", data: {} }],
    ] as const)
      await (await ask("POST", path, { ...body, endpoint_id })).body?.cancel();
    await convoy.idle();
    const { data } = (await (await ask("GET", "/events")).json()) as {
      data: { content: object[] };
    };
    await close();
    return "failure_reason" in data.content[0]!;
  };
  const seen: boolean[] = [];
  for (const version of ["", "26.6", "26.7"]) {
    vi.stubEnv("LOCAL_CONVOY_VERSION", version);
    seen.push(await failureOf());
  }
  expect(seen).toEqual([true, false, true]);
  vi.stubEnv("LOCAL_CONVOY_VERSION", "v26.6.6");
  await expect(serveConvoy({ port: 0 })).rejects.toThrow(
    'LOCAL_CONVOY_VERSION must be 26.6 or 26.7, not "v26.6.6".',
  );
  vi.unstubAllEnvs();
});

test("a taken port is EADDRINUSE", async () => {
  const port = Number(new URL(served.url).port);
  await expect(serveConvoy({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
});

test.each([
  ["/api/v1/projects/local/events", "POST"],
  ["/inbox/faults", "PUT"],
])("a body over the limit is a 413: %s", async (path, method) => {
  const response = await fetch(served.url + path, {
    method,
    headers: { Authorization: "Bearer local" },
    body: "x".repeat(MAX_BODY_BYTES + 1),
  });
  await response.body?.cancel();
  expect(response.status).toBe(413);
});

test("the page may run its own script and style and nothing else, and may not be framed", async () => {
  const response = await fetch(served.url);
  expect(await response.text()).not.toMatch(
    /<script(?! type="module" src="\/assets\/main\.js">)|<style| style=| on\w+=/,
  );
  const policy = response.headers.get("Content-Security-Policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
    expect(policy).toContain(part);
  expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
});

test.each(["/assets/nothing.js", "/assets/..%2f..%2fpackage.json", "/assets/%2e%2e%2fconfig.ts"])(
  "no file but the page's is served: %s",
  async (path) => {
    expect(await ask(path, {})).toBe(404);
  },
);

test("a dropped call is a closed connection", async () => {
  const faults = (body: string) => fetch(`${served.url}/inbox/faults`, { method: "PUT", body });
  await (await faults('{"drop":true}')).body?.cancel();
  await expect(fetch(`${served.url}/api/v1/projects/local/endpoints`)).rejects.toThrow(
    "fetch failed",
  );
  await (await faults("{}")).body?.cancel();
});

test("the stream reports each delivery as it changes, and a cleared inbox", async () => {
  const leaving = new AbortController();
  const stream = await fetch(`${served.url}/inbox/stream`, { signal: leaving.signal });
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const seen = async (wanted: RegExp) => {
    while (!wanted.test(text)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the stream ended before ${wanted}`);
      text += value;
    }
  };
  const call = async (path: string, body: object) => {
    const response = await fetch(`${served.url}/api/v1/projects/local${path}`, {
      method: "POST",
      headers: { Authorization: "Bearer local" },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { data: { uid: string } };
  };
  const { data } = await call("/endpoints", { name: "e", url: "https://example.com/hook" });
  await call("/subscriptions", { name: "s", endpoint_id: data.uid });
  await call("/events", { endpoint_id: data.uid, event_type: "ping", data: { a: "\n\ndata: x" } });
  await seen(/event: delivery\ndata: \{.*"status":"Success".*\}\n\n/);
  await (await fetch(`${served.url}/inbox/deliveries`, { method: "DELETE" })).body?.cancel();
  await seen(/event: cleared\n/);
  leaving.abort();
});
