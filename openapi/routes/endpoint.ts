/** Routes under /endpoint. */
import * as schema from "../../src/endpoint/schema.ts";
import { PING, type Registry } from "../../src/outbox/outbox.ts";
import { EXAMPLE_ENDPOINT, EXAMPLE_EVENT_ID, EXAMPLE_SECRET } from "../examples.ts";
import { namesOf } from "../noun.ts";
import { answer, type Links, routesOf } from "../operation.ts";

const route = routesOf("Endpoints");
const params = schema.EndpointPath;
const secret = { endpoint: EXAMPLE_ENDPOINT, secret: EXAMPLE_SECRET };
const one = (more: object = {}) =>
  answer("The endpoint.", "Endpoint", { ...EXAMPLE_ENDPOINT, ...more });
const onItsWay = (name: "Ping" | "Test") => {
  const queued = { id: "$response.body#/event_id" };
  const example = { data: `${name} queued`, event_id: EXAMPLE_EVENT_ID };
  const links = { getEvent: queued, replayEvent: queued };
  return answer("On its way.", `${name}Queued`, example, { headers: ["X-Event-Id"], links });
};
/** What is wanted is kept, and made so at Convoy later. */
const LATER = answer(
  "Convoy does not answer: the change is kept and made later. It is `pending`.",
  "Endpoint",
  { ...EXAMPLE_ENDPOINT, pending: true },
);

export const endpointOperations = (nouns: Registry) => [LIST, creation(nouns), ...REST, ...LIFE];

const LIST = route("get /endpoint", "listEndpoints", "List endpoints", {
  query: schema.EndpointListQuery,
  answers: {
    200: answer("A page.", ["EndpointPage", "OwnedEndpointPage"], { data: [EXAMPLE_ENDPOINT] }),
  },
});

function creation(nouns: Registry) {
  const { id, name, description, url } = EXAMPLE_ENDPOINT;
  const example = { name, description, http_timeout: "10s", url };
  const byId = { id: "$response.body#/endpoint/id" };
  // A new endpoint can be named in each noun's creation.
  const creations = [...nouns.values()].map((noun) => `create${namesOf(noun).one}`);
  const links: Links = {
    ...{ getEndpoint: byId, deleteEndpoint: byId, pingEndpoint: byId },
    ...Object.fromEntries(creations.map((one) => [one, { endpoint: byId.id }])),
  };
  return route("post /endpoint", "createEndpoint", "Create an endpoint", {
    description:
      "For every event type, unless `event_types` names some. Without `secret`, Convoy generates one.",
    body: { schema: schema.NewEndpoint, example },
    answers: {
      201: answer(
        "The secret is shown only once.",
        "EndpointAdded",
        { "Endpoint ID": id, ...secret },
        { headers: ["Location"], links },
      ),
    },
    errors: [409, 502],
  });
}

const REST = [
  route("post /endpoint/sync", "syncEndpoints", "Reconcile endpoints with Convoy", {
    description: "Takes over what was created and changed in Convoy's dashboard.",
    query: schema.SyncQuery,
    answers: {
      200: answer(
        "If it is not `complete`, call again, with its `cursor` if it has one: what is left to do is kept.",
        "SyncReport",
        {
          ...{ adopted: 0, removed: 0, updated: 0, missing: 0, complete: true },
        },
      ),
    },
  }),
  route("get /endpoint/:id", "getEndpoint", "Read an endpoint", {
    params,
    answers: { 200: one() },
  }),
  route("put /endpoint/:id", "updateEndpoint", "Change an endpoint", {
    description: "Changes the given fields.",
    params,
    body: { schema: schema.EndpointPatch, example: { description: "Endpoint for todo API." } },
    answers: { 200: one(), 202: LATER },
    errors: [409, 502],
  }),
  route("delete /endpoint/:id", "deleteEndpoint", "Remove an endpoint", {
    description: "At once; what was not delivered yet is `dead`.",
    params,
    answers: { 200: answer("Done.", "EndpointRemoved", { data: "Endpoint ID has been removed." }) },
  }),
];

/** What tests an endpoint, stops it, or changes its secret. */
const LIFE = [
  route("post /endpoint/:id/ping", "pingEndpoint", "Send a ping", {
    params,
    answers: { 202: onItsWay("Ping") },
    errors: [409],
  }),
  route("post /endpoint/:id/test", "testEndpoint", "Send a test event", {
    description:
      "The example of an event type, with `test: true` and without a `sequence`: receivers ignore it.",
    params,
    body: { schema: schema.NewTest, example: { type: PING.type } },
    answers: { 202: onItsWay("Test") },
    errors: [409],
  }),
  route("post /endpoint/:id/pause", "pauseEndpoint", "Pause an endpoint", {
    description: "What happens meanwhile is held, and delivered after `activate`.",
    params,
    answers: { 200: one({ status: "paused" }) },
  }),
  route("post /endpoint/:id/activate", "activateEndpoint", "Activate an endpoint", {
    description: "Delivers what was held. One that Convoy has disabled is enabled there, too.",
    params,
    answers: { 200: one({ status: "active" }), 202: LATER },
    errors: [409, 502],
  }),
  route("post /endpoint/:id/rotate-secret", "rotateSecret", "Change the secret", {
    description: "Both secrets sign while they overlap, by default for 24 hours.",
    params,
    body: { schema: schema.Rotation, example: { overlap_hours: 24 }, optional: true },
    answers: {
      200: answer("The secret is shown only once.", "Rotated", { ...secret, overlap_hours: 24 }),
    },
    errors: [409, 502],
  }),
];
