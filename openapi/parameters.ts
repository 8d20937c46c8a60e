/** What the names in paths and queries mean. */

type Said = { description: string; example?: unknown };

/** By the tag of the route and the parameter's name; without a tag, for all. */
export const PARAMETERS: Record<string, Said> = {
  "Todos id": { description: "The todo's id.", example: 1 },
  "Endpoints id": {
    description: "The endpoint's id.",
    example: "01M86F4EG3B4N9ZPEW1BAAMQ4B",
  },
  "Events id": {
    description: "X-Event-Id of the change, `event_id` of the webhook.",
  },
  delivery: { description: "The delivery's id." },
  endpoint: { description: "An endpoint of the caller." },
  "Todos endpoint": {
    description: "Who gets the event. Left out: all endpoints for a change, none for a read.",
  },
  limit: { description: "How many to give at most." },
  cursor: { description: "`cursor` of the page before." },
  state: { description: "Only events in this state." },
  type: { description: "Only events of this type." },
  deep: {
    description: "Whatever its value: ask D1, KV and Convoy. Needs a token.",
  },
};
