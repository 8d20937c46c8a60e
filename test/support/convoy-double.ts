/** What a world needs from its Convoy, be it the local one or the model. */

/** An event that Convoy took: `key` is its idempotency key, `body` the webhook's body as posted. */
export type Accepted = { key: string; duplicate: boolean; status: string; body: string };

/** A Convoy in this process; a Worker reaches it through `fetch`. */
export type ConvoyDouble = {
  fetch: (request: Request) => Promise<Response>;
  /** What it really took, without what it only said it took. */
  accepted: () => Promise<Accepted[]>;
  /** Resolves when nothing is in flight. */
  idle: () => Promise<void>;
  /** Forgets everything. */
  reset: () => Promise<void>;
  close: () => Promise<void>;
};
