/** Descriptions of the parameters in paths and queries. */

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
    description:
      "The endpoint that gets the event. If omitted: all endpoints for a change, none for a read.",
  },
  limit: { description: "The maximum number to return." },
  cursor: { description: "`cursor` of the previous page." },
  state: { description: "Only events in this state." },
  type: { description: "Only events of this type." },
  deep: {
    description: "With any value: checks D1, KV and Convoy. Needs a token.",
  },
};
