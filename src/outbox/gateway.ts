/**
 * What the log needs of a gateway. src/convoy/ is one; anything that takes a delivery under an idempotency
 * key, lists what it has taken and finds one by its key can be another.
 */

/** A delivery as it is posted: an event for one endpoint. */
export type Post = { key: string; endpointId: string; type: string; body: object };

/**
 * What a post's answer means. failed: nobody's fault, as far as we know; `throttled`: the gateway asked for
 * fewer calls. unknown endpoint: it says that it has none, which is no proof. not sent: this invocation may
 * make no more requests.
 */
export type Posted =
  | { kind: "accepted" }
  | { kind: "too large" | "unknown endpoint" | "not sent"; error: string }
  | { kind: "failed"; error: string; throttled: boolean; retryAfterMs: number | null };

/** How far the gateway is with a delivery. */
export type Progress = "success" | "failure" | "discarded" | "unfinished";

/** A delivery as the gateway lists it. Times in ms. */
export type GatewayDelivery = {
  /** The gateway's own id, for `attempts`. */
  id: string;
  key: string;
  endpointId: string;
  progress: Progress;
  /** How often it has tried. */
  attempts: number;
  /** When it tries next, if it will; may lie in the past. */
  nextTryAt: number | null;
  createdAt: number;
  updatedAt: number;
  /** Whether the gateway delivers to the endpoint now; null: it did not say. */
  endpointActive: boolean | null;
};

/** A window of the gateway's list: deliveries made between two times, oldest first; of these endpoints, or of all. */
export type Window = {
  fromMs: number;
  toMs: number;
  cursor: string | null;
  limit: number;
  endpointIds?: readonly string[];
};

/**
 * A page of the list. `next`: null on the last page. unreadable: it answered, but not with such a page; a
 * smaller one may help. silent: no answer, or one for another account.
 */
export type Listed =
  | { kind: "page"; deliveries: GatewayDelivery[]; next: string | null }
  | { kind: "unreadable" | "silent"; error: string };

/**
 * What the gateway has under a key. none: nothing. queued: the event, but no delivery yet. unsubscribed:
 * the event, which it will deliver to nobody. silent: no answer, or one that proves nothing.
 */
export type Found =
  | { kind: "delivery"; delivery: GatewayDelivery }
  | { kind: "none" | "queued" | "unsubscribed" }
  | { kind: "silent"; error: string };

/** One try of the gateway to reach the receiver. `at` is ISO 8601; `response`: the beginning of its body. */
export type Attempt = {
  at: string;
  took_ms: number | null;
  http_status: number | null;
  response: string | null;
  error: string | null;
  request_headers: Record<string, string>;
  response_headers: Record<string, string>;
};

/** The tries of a delivery, oldest first; or why the gateway does not say. */
export type Attempts =
  | { kind: "attempts"; attempts: Attempt[] }
  | { kind: "silent"; error: string };

/** A gateway. No call ever throws. */
export type Gateway = {
  post: (delivery: Post) => Promise<Posted>;
  list: (window: Window) => Promise<Listed>;
  find: (key: string, endpointId: string) => Promise<Found>;
  attempts: (gatewayDeliveryId: string) => Promise<Attempts>;
};
