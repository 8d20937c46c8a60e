// Shorthands for using a local Convoy in this process.

import type { InboxDelivery, listEvents } from "../../local/convoy/inbox.ts";
import {
  type Convoy,
  type ConvoyOptions,
  createConvoy,
  type Faults,
} from "../../local/convoy/index.ts";

/** A parsed answer of the API. */
export type Answer<Data = unknown> = {
  status: number;
  headers: Headers;
  message: string;
  data: Data;
};

/** A page of the API. */
export type Paged<Row> = { content: Row[]; pagination: Record<string, unknown> };

/** A local Convoy with its API and inbox as functions. */
export type Client = ReturnType<typeof clientOf>;

/** Wraps a local Convoy. */
export function clientOf(convoy: Convoy) {
  const request = (path: string, init: RequestInit = {}) =>
    convoy.fetch(new Request(`http://local.convoy.test${path}`, init));

  const call = async <Data = unknown>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<Data>> => {
    const response = await request(`/api/v1/projects/local${path}`, {
      method,
      headers: { Authorization: "Bearer local", ...headers },
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    });
    const { message, data } = (await response.json()) as { message: string; data: Data };
    return { status: response.status, headers: response.headers, message, data };
  };

  const inbox = async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> => {
    const text = body === undefined ? null : JSON.stringify(body);
    return (await (await request(`/inbox${path}`, { method, body: text })).json()) as Answer;
  };

  return {
    convoy,
    request,
    call,
    inbox,
    /** Creates an endpoint and its subscription. @returns its id */
    async endpoint(fields: Record<string, unknown> = {}) {
      const made = await call<{ uid: string }>("POST", "/endpoints", {
        name: "e",
        url: "http://127.0.0.1:9/hook",
        ...fields,
      });
      await call("POST", "/subscriptions", { name: "s", endpoint_id: made.data.uid });
      return made.data.uid;
    },
    /** Posts an event for one endpoint. */
    event: (endpointId: string, key: string, data: unknown = { event: "created" }) =>
      call("POST", "/events", {
        endpoint_id: endpointId,
        event_type: "created",
        idempotency_key: key,
        data,
      }),
    deliveries: async () =>
      (await inbox<{ data: InboxDelivery[] }>("GET", "/deliveries?limit=5000")).data,
    events: async () =>
      (await inbox<{ data: ReturnType<typeof listEvents> }>("GET", "/events?limit=5000")).data,
    faults: (faults: Faults) => inbox("PUT", "/faults", faults),
  };
}

/** A receiver in this process: keeps what it got, and answers with the status that `answer` gives. */
export function receiver(
  answer: (path: string, count: number) => number | Promise<number> = () => 200,
) {
  const got: { path: string; body: string; headers: Headers }[] = [];
  const deliver: typeof fetch = async (input, init) => {
    const path = new URL(String(input)).pathname;
    const headers = new Headers(init?.headers);
    got.push({ path, body: String(init?.body), headers });
    const status = await answer(path, got.length);
    return new Response(status === 204 ? null : "answer", { status });
  };
  return { got, deliver };
}

/** Starts a local Convoy and wraps it. */
export function start(options: ConvoyOptions = {}): Client {
  return clientOf(createConvoy(options));
}
