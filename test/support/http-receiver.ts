/** An HTTP webhook receiver that checks each signature itself, with node:crypto alone. */
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sign } from "./sign.ts";

/** The parts of a webhook's body that these tests read. */
export type WebhookBody = {
  event: string;
  event_id: string;
  sequence?: number;
  todo?: { id: number; item?: string; completed?: boolean };
};

/** A received request. */
export type Received = {
  path: string;
  headers: Record<string, string | string[] | undefined>;
  raw: string;
  body: WebhookBody;
  /** Why the signature was refused; undefined if it is good. */
  refused: string | undefined;
};

/** A running receiver. */
export type HttpReceiver = {
  url: string;
  /** All received requests, oldest first. */
  received: Received[];
  /** Adds an endpoint's secret; a delivery counts as signed if any of the secrets signed it. */
  trust(secret: string): void;
  close(): Promise<void>;
};

/** Starts a receiver on a free port; it answers 200 to what is signed correctly, and 401 to the rest. */
export async function startHttpReceiver(): Promise<HttpReceiver> {
  const secrets: string[] = [];
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const raw = Buffer.concat(chunks).toString("utf8");
      const refused = whyRefused(String(request.headers["x-convoy-signature"] ?? ""), raw, secrets);
      received.push({
        path: request.url ?? "",
        headers: request.headers,
        raw,
        body: JSON.parse(raw) as WebhookBody,
        refused,
      });
      response.writeHead(refused === undefined ? 200 : 401).end(refused ?? "ok");
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve());
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    trust: (secret) => void secrets.push(secret),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Convoy's advanced signature: `t=<unix seconds>,v1=<hex>`, over `t,body`; any one v1 will do. */
function whyRefused(header: string, body: string, secrets: string[]): string | undefined {
  const parts = header.split(",").map((part) => part.split("=", 2) as [string, string]);
  const time = parts.find(([key]) => key === "t")?.[1] ?? "";
  const given = parts.filter(([key]) => key === "v1").map(([, hex]) => Buffer.from(hex, "hex"));
  if (!/^\d+$/.test(time) || given.length === 0) return `no advanced signature in "${header}"`;
  if (Math.abs(Date.now() / 1_000 - Number(time)) > 300) return "signed too long ago";
  const expected = secrets.map((secret) => Buffer.from(sign(secret, `${time},${body}`), "hex"));
  const good = given.some((one) =>
    expected.some((other) => one.length === other.length && timingSafeEqual(one, other)),
  );
  return good ? undefined : "signed by nobody we know";
}
