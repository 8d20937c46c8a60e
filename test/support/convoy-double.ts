/** What a world needs from its Convoy, be it the local one or the model. */

/**
 * What Convoy took under a key. `status`: its delivery's, null if it made none. `arrivals`: how often the receiver got
 * it. `body`: the webhook's, as posted.
 */
export type Taken = {
  key: string;
  endpointId: string;
  body: string;
  status: string | null;
  arrivals: number;
};

/** A post that reached it, whatever came of it; `at` in ms. */
export type PostMade = { key: string; endpointId: string; at: number };

/** A Convoy in this process; a Worker reaches it through `fetch`. */
export type ConvoyDouble = {
  fetch: (request: Request) => Promise<Response>;
  posts: PostMade[];
  /** What it really took, without what it only said it took. */
  taken: () => Promise<Taken[]>;
  /** Resolves when nothing is in flight. */
  idle: () => Promise<void>;
  /** Forgets everything. */
  reset: () => Promise<void>;
  close: () => Promise<void>;
};
