/** Routes under /endpoint that create, change and remove endpoints. */
import {
  EndpointListQuery,
  EndpointPatch,
  EndpointPath,
  NewEndpoint,
  SyncQuery,
} from "../../src/endpoint/schema.ts";
import type { Registry } from "../../src/outbox/outbox.ts";
import { EXAMPLE_ENDPOINT, EXAMPLE_SECRET } from "../examples.ts";
import { namesOf } from "../noun.ts";
import type { Links, Operation } from "../operation.ts";

const { id, name, url, description } = EXAMPLE_ENDPOINT;
const tag = "Endpoints";
const byId = { id: "$response.body#/endpoint/id" };
const one = {
  description: "The endpoint.",
  schema: "Endpoint",
  example: EXAMPLE_ENDPOINT,
};

/** What is wanted is kept, and made so at Convoy later. */
export const LATER = {
  description: "Convoy does not answer: the change is kept and made later. It is `pending`.",
  schema: "Endpoint",
  example: { ...EXAMPLE_ENDPOINT, pending: true },
};

/** Where a new endpoint can be named: in each noun's creation. */
function creations(nouns: Registry): Links {
  const ids = [...nouns.values()].map((noun) => `create${namesOf(noun).one}`);
  return Object.fromEntries(ids.map((one) => [one, { endpoint: byId.id }]));
}

const LIST: Operation = {
  method: "get",
  path: "/endpoint",
  id: "listEndpoints",
  tag,
  summary: "List endpoints",
  query: EndpointListQuery,
  answers: {
    200: {
      description: "A page.",
      schema: ["EndpointPage", "OwnedEndpointPage"],
      example: { data: [EXAMPLE_ENDPOINT] },
    },
  },
};

function creation(nouns: Registry): Operation {
  return {
    method: "post",
    path: "/endpoint",
    id: "createEndpoint",
    tag,
    summary: "Create an endpoint",
    description:
      "For every event type, unless `event_types` names some. Without `secret`, Convoy generates one.",
    body: { schema: NewEndpoint, example: { name, description, http_timeout: "10s", url } },
    answers: {
      201: {
        description: "The secret is shown only once.",
        schema: "EndpointAdded",
        example: {
          "Endpoint ID": id,
          endpoint: EXAMPLE_ENDPOINT,
          secret: EXAMPLE_SECRET,
        },
        headers: ["Location"],
        links: {
          getEndpoint: byId,
          deleteEndpoint: byId,
          pingEndpoint: byId,
          ...creations(nouns),
        },
      },
    },
    errors: [409, 502],
  };
}

const REST: Operation[] = [
  {
    method: "post",
    path: "/endpoint/sync",
    id: "syncEndpoints",
    tag,
    summary: "Reconcile endpoints with Convoy",
    description: "Takes over what was created and changed in Convoy's dashboard.",
    query: SyncQuery,
    answers: {
      200: {
        description:
          "If it is not `complete`, call again, with its `cursor` if it has one: what is left to do is kept.",
        schema: "SyncReport",
        example: {
          adopted: 0,
          removed: 0,
          updated: 0,
          missing: 0,
          complete: true,
        },
      },
    },
  },
  {
    method: "get",
    path: "/endpoint/:id",
    id: "getEndpoint",
    tag,
    summary: "Read an endpoint",
    params: EndpointPath,
    answers: { 200: one },
    errors: [404],
  },
  {
    method: "put",
    path: "/endpoint/:id",
    id: "updateEndpoint",
    tag,
    summary: "Change an endpoint",
    description: "Changes the given fields.",
    params: EndpointPath,
    body: { schema: EndpointPatch, example: { description: "Endpoint for todo API." } },
    answers: { 200: one, 202: LATER },
    errors: [404, 409, 502],
  },
  {
    method: "delete",
    path: "/endpoint/:id",
    id: "deleteEndpoint",
    tag,
    summary: "Remove an endpoint",
    description: "At once; what was not delivered yet is `dead`.",
    params: EndpointPath,
    answers: {
      200: {
        description: "Done.",
        schema: "EndpointRemoved",
        example: { data: "Endpoint ID has been removed." },
      },
    },
    errors: [404],
  },
];

/** Routes under /endpoint that create, change and remove endpoints. */
export function endpointOperations(nouns: Registry): Operation[] {
  return [LIST, creation(nouns), ...REST];
}
