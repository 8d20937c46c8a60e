// What states mean, and what to do about them.

/** Event types of the log. */
export const TYPES = ["created", "updated", "deleted", "failed", "ping"];

/** States of an event. */
export const STATES = ["pending", "accepted", "confirmed", "dead"];

/** An event's state: its tone and meaning. Once an event is finished, nothing more happens automatically. */
export function stateOf({ state, finished_at: finished }) {
  switch (state) {
    case "pending":
      return ["waiting", "Not sent yet. It is retried automatically until it gets through."];
    case "accepted":
      if (finished) return ["good", "Accepted for delivery."];
      return [
        "info",
        "Accepted for delivery. A check within a few minutes shows whether it was really processed; until then it cannot be replayed.",
      ];
    case "confirmed":
      return ["good", "Accepted for delivery, and checked."];
    case "dead":
      return ["bad", "Given up. Fix what the error names, then replay it."];
    default:
      return ["off", ""];
  }
}

/** Statuses of an endpoint: tone, what it means, and what to do. */
export const STATUSES = {
  active: ["good", ""],
  pausing: ["waiting", "It is being paused."],
  paused: ["off", "Paused: what happens meanwhile is kept, and sent once you activate it."],
  activating: ["waiting", "It is active again; what it missed is being sent."],
  inactive: [
    "bad",
    "It was turned off after too many failures. Fix the receiver, then activate it: what it missed is sent then.",
  ],
  missing: [
    "bad",
    "The delivery service no longer knows it, so nothing is sent to it. Remove it and add it again.",
  ],
};

/** How many of these deliveries succeeded, failed or are being retried. */
export function tally(deliveries) {
  const count = (...statuses) => deliveries.filter((one) => statuses.includes(one.status)).length;
  return {
    all: deliveries.length,
    good: count("Success"),
    bad: count("Failure"),
    retrying: count("Retry"),
  };
}

/** What is wrong with an endpoint: {tone, text}; undefined if nothing is. */
export function trouble(endpoint, deliveries = []) {
  const [tone, text] = STATUSES[endpoint.status] ?? ["off", ""];
  if (text !== "") return { tone, text };
  const { all, bad, retrying } = tally(deliveries);
  if (bad === 0 && retrying === 0) return undefined;
  const parts = [
    bad > 0 &&
      (all === 1 ? "The only delivery failed" : `${bad} of the last ${all} deliveries failed`),
    retrying > 0 && `${retrying} ${retrying === 1 ? "is" : "are"} being tried again`,
  ].filter(Boolean);
  return { tone: bad > 0 ? "bad" : "waiting", text: `${parts.join("; ")}.` };
}
