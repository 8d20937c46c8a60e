/** Routes under /endpoint that create, change and remove endpoints. */
import { EndpointPatch, EndpointPath, NewEndpoint } from "../../src/endpoint/schema.ts";
import { PageQuery } from "../../src/schema.ts";
import type { Operation } from "../operation.ts";

/** The endpoint used in every example. */
export const EXAMPLE_ENDPOINT = {
  id: "01M86F4EG3B4N9ZPEW1BAAMQ4B",
  name: "Todo endpoint",
  url: "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
  description: "Endpoint for todo API.",
  http_timeout: 10,
  status: "active",
  created_at: "2026-11-24T12:00:00.000Z",
  updated_at: "2026-11-24T12:00:00.000Z",
};

/** The secret used in every example. */
export const EXAMPLE_SECRET = "KRRDwhSGCZSJ8qKJ5UuTxGUUe";

const { id, name, url, description } = EXAMPLE_ENDPOINT;
const tag = "Endpoints";
const byId = { id: "$response.body#/endpoint/id" };
const one = {
  description: "The endpoint.",
  schema: "Endpoint",
  example: EXAMPLE_ENDPOINT,
};

/** Routes under /endpoint that create, change and remove endpoints. */
export const ENDPOINT: Operation[] = [
  {
    method: "get",
    path: "/endpoint",
    id: "listEndpoints",
    tag,
    summary: "List endpoints",
    query: PageQuery,
    answers: {
      200: {
        description: "A page.",
        schema: "EndpointPage",
        example: { data: [EXAMPLE_ENDPOINT] },
      },
    },
  },
  {
    method: "post",
    path: "/endpoint",
    id: "createEndpoint",
    tag,
    summary: "Create an endpoint",
    description: "With a subscription to every event type. Without `secret`, Convoy generates one.",
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
          listDeliveries: byId,
          createTodo: { endpoint: "$response.body#/endpoint/id" },
        },
      },
    },
    errors: [409, 502],
  },
  {
    method: "post",
    path: "/endpoint/sync",
    id: "syncEndpoints",
    tag,
    summary: "Reconcile endpoints with Convoy",
    description:
      "Takes over what was created and changed in Convoy's dashboard, and gives each endpoint the subscription it lacks.",
    answers: {
      200: {
        description: "If it is not `complete`, call again, with the `cursor` if there is one.",
        schema: "ReconcileReport",
        example: {
          adopted: 0,
          removed: 0,
          updated: 0,
          missing: 0,
          subscribed: 0,
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
    answers: { 200: one },
    errors: [404, 409, 502],
  },
  {
    method: "delete",
    path: "/endpoint/:id",
    id: "deleteEndpoint",
    tag,
    summary: "Remove an endpoint",
    params: EndpointPath,
    answers: {
      200: {
        description: "Done.",
        schema: "Done",
        example: { data: "Endpoint ID has been removed." },
      },
    },
    errors: [404, 409, 502],
  },
];
