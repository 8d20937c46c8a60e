// The example receiver in this process, over a D1 double.
import path from "node:path";
import receiver, { type ReceiverEnv } from "../../examples/receiver/index.ts";
import { type D1Double, openD1 } from "./d1-sqlite.ts";
import { advanced } from "./sign.ts";

/** The secret that the receiver under test knows. */
export const SECRET = "whsec_receiver";

/** The folder of the example. */
export const RECEIVER = path.resolve(import.meta.dirname, "../../examples/receiver");

/** A webhook's body, as this product posts it. */
export type Webhook = {
  event: string;
  description: string;
  event_id: string;
  sequence?: number;
  occurred_at: string;
  todo?: { id: number; item?: string; completed?: boolean };
};

/** A receiver and its database; `post` sends a signed body, `list` returns its copy of the todos. */
export type Receiver = {
  double: D1Double;
  env: ReceiverEnv;
  request: (path: string, init?: RequestInit) => Promise<Response>;
  post: (webhook: unknown, headers?: Record<string, string>) => Promise<Response>;
  list: () => Promise<{ id: number; item: string; completed: boolean }[]>;
};

/** A receiver with an empty database, or with the one given, as after a restart. */
export function startReceiver(
  double = openD1({ migrations: path.join(RECEIVER, "migrations") }),
): Receiver {
  const env: ReceiverEnv = { DB: double.db, WEBHOOK_SECRET: SECRET };
  const request = async (url: string, init: RequestInit = {}) =>
    receiver.fetch(new Request(`http://receiver.test${url}`, init), env, {} as ExecutionContext);
  const post = (webhook: unknown, headers: Record<string, string> = {}) => {
    const body = typeof webhook === "string" ? webhook : JSON.stringify(webhook);
    const signature = { "X-Convoy-Signature": advanced([SECRET], body) };
    const all = { "Content-Type": "application/json", ...signature, ...headers };
    return request("/", { method: "POST", headers: all, body });
  };
  const list = async () => {
    const answer = await request("/todo");
    return ((await answer.json()) as { data: Awaited<ReturnType<Receiver["list"]>> }).data;
  };
  return { double, env, request, post, list };
}
