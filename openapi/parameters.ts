/** Descriptions of the parameters in paths and queries. */
import { EXAMPLE_ENDPOINT } from "./examples.ts";

export type Said = { description: string; example?: unknown };

/** By the tag of the route and the parameter's name; without a tag, for all. */
export const PARAMETERS: Record<string, Said> = {
  "Endpoints id": { description: "The endpoint's id.", example: EXAMPLE_ENDPOINT.id },
  "Events id": { description: "X-Event-Id of the change, `event_id` of the webhook." },
  "Deliveries id": { description: "The delivery's id: `event_id.endpoint_id`." },
  endpoint: { description: "An endpoint of the caller." },
  limit: { description: "The maximum number to return." },
  cursor: { description: "`cursor` of the previous page." },
  status: { description: "Only deliveries with this status, or events that have one." },
  type: { description: "Only events of this type." },
  since: { description: "Only what happened then or later." },
  until: { description: "Only what happened before." },
  owner: {
    description: "`*`, with an operator's token: those of all owners, without their contents.",
  },
  failing: { description: "Only endpoints whose deliveries fail." },
  after: { description: "`after` of the previous poll. If omitted: nothing is new yet." },
  watch: {
    description:
      "Deliveries that are known, at most 50: `sequence.endpoint_id,…`; without an endpoint, all of that event.",
  },
  deep: { description: "With any value: checks D1, KV and Convoy. Needs a token." },
};
