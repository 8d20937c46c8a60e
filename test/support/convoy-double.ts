/** What a world needs of its Convoy, be it the local one or the model. */

/** An event that Convoy took, under its idempotency key. `body` is the webhook's, as it was posted. */
export type Accepted = { key: string; duplicate: boolean; status: string; body: string };

/** A Convoy in this process. `fetch` is a Worker's way to it. */
export type ConvoyDouble = {
  fetch: (request: Request) => Promise<Response>;
  /** What it took, and did not only say that it took. */
  accepted: () => Promise<Accepted[]>;
  /** Resolves when it has nothing on its way. */
  idle: () => Promise<void>;
  /** Forgets everything. */
  reset: () => Promise<void>;
  close: () => Promise<void>;
};
