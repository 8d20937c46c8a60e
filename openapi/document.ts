/** The OpenAPI 3.1 document, from the route table and the Worker's own schemas. */
import type * as z from "zod/mini";
import product from "../package.json" with { type: "json" };
import type { Registry } from "../src/outbox/outbox.ts";
import { resources } from "../src/resources.ts";
import { schemasOf } from "./answers.ts";
import { ERRORS, type ErrorAnswer } from "./errors.ts";
import { HEADERS } from "./headers.ts";
import { inputSchema, parameterSchema } from "./json-schema.ts";
import { namesOf, nounOperations } from "./noun.ts";
import type { Answer, Links, Operation } from "./operation.ts";
import { PARAMETERS } from "./parameters.ts";
import { deliveryOperations } from "./routes/delivery.ts";
import { endpointOperations } from "./routes/endpoint.ts";
import { eventOperations } from "./routes/event.ts";
import { otherOperations } from "./routes/other.ts";
import { webhooks } from "./webhooks.ts";

const BEARER = {
  type: "http",
  scheme: "bearer",
  bearerFormat: "JWT",
  description: 'A token whose `sub` is the owner. Not needed if AUTH is "open".',
};

/** The nouns' routes beside their five, documented by hand. */
const FURTHER: Operation[] = [];

/** Every route, in the order of the document. `further`: the nouns' beside their five. */
export function operationsOf(nouns: Registry = resources, further: Operation[] = FURTHER) {
  return [
    ...[...nouns.values()].flatMap(nounOperations),
    ...further,
    ...endpointOperations(nouns),
    ...deliveryOperations(nouns),
    ...eventOperations(nouns),
    ...otherOperations(nouns),
  ];
}

function tagsOf(nouns: Registry) {
  const description = "Every change publishes an event.";
  return [
    ...[...nouns.values()].map((noun) => ({ name: namesOf(noun).many, description })),
    { name: "Endpoints", description: "Where webhooks go." },
    { name: "Deliveries", description: "What became of each event for each endpoint." },
    { name: "Events", description: "What was published." },
    { name: "Service", description: "The API itself." },
    { name: "Webhooks", description: "What an endpoint receives." },
  ];
}

/** The document as JSON: what /openapi.json serves. `further`: the nouns' routes beside their five. */
export function buildDocument(nouns: Registry = resources, further?: Operation[]) {
  const operations = operationsOf(nouns, further);
  return {
    openapi: "3.1.1",
    info: {
      title: product.name,
      version: product.version,
      summary: product.description,
      description: "Everything belongs to its owner, the subject of the token.",
      license: { name: product.license, identifier: product.license },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    tags: tagsOf(nouns),
    paths: pathsOf(operations),
    webhooks: webhooks(nouns),
    components: {
      securitySchemes: { bearer: BEARER },
      headers: HEADERS,
      responses: responsesOf(operations),
      schemas: schemasOf(nouns, operations),
    },
  };
}

function responsesOf(operations: Operation[]) {
  const own = operations.flatMap(({ ownErrors = {} }) => Object.values(ownErrors));
  return Object.fromEntries(
    [...Object.values(ERRORS), ...own].map((error) => [
      error.name,
      response({ ...error, schema: "Error" }),
    ]),
  );
}

/** `/todo/:id` as OpenAPI writes it. */
export function toTemplate(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function pathsOf(operations: Operation[]) {
  const byPath: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) {
    const path = toTemplate(operation.path);
    byPath[path] = { ...byPath[path], [operation.method]: toOpenApi(operation) };
  }
  return byPath;
}

function toOpenApi(operation: Operation) {
  const { id, tag, summary, description, caller = "owner", body, answers } = operation;
  const parameters = [
    ...toParameters(operation, "path", operation.params),
    ...toParameters(operation, "query", operation.query),
  ];
  const errors = errorsOf(operation).map((status) => [status, { $ref: ref(operation, status) }]);
  const others = Object.entries(answers).map(([status, answer]) => [status, response(answer)]);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    ...(caller === "either" ? { security: [{}, { bearer: [] }] } : {}),
    ...(caller === "anyone" ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: requestBody(body) } : {}),
    responses: Object.fromEntries([...errors, ...others]),
  };
}

function requestBody({ schema, example, optional }: NonNullable<Operation["body"]>) {
  // Some clients send null for none.
  const orNull = optional ? { type: ["object", "null"] } : {};
  const content = {
    "application/json": { schema: { ...inputSchema(schema), ...orNull }, example },
  };
  return { required: !optional, content };
}

function toParameters(
  { tag, said = {} }: Operation,
  place: "path" | "query",
  of?: z.ZodMiniObject,
) {
  const shape = (of?.shape ?? {}) as Record<string, z.ZodMiniType>;
  return Object.entries(shape).map(([name, schema]) => ({
    name,
    in: place,
    ...(place === "path" ? { required: true } : {}),
    ...(said[name] ?? PARAMETERS[`${tag} ${name}`] ?? PARAMETERS[name]),
    schema: parameterSchema(schema),
  }));
}

/** Every error that a route can return: its own, and those that follow from how it is called. */
function errorsOf(operation: Operation): number[] {
  const { method, caller, errors = [] } = operation;
  return [
    // Of any route: unknown parameters are refused.
    400,
    ...(caller === "anyone" ? [] : [401, 403, 429]),
    // These also apply to a body that no route expects.
    ...(method === "get" ? [] : [413, 415]),
    ...(operation.path.includes(":") ? [404] : []),
    ...errors,
    ...[500, 503],
  ].sort();
}

function ref({ ownErrors = {} }: Operation, status: number): string {
  const error: ErrorAnswer | undefined = ownErrors[status] ?? ERRORS[status];
  if (!error) throw new Error(`No description of status ${status}`);
  return `#/components/responses/${error.name}`;
}

function response(answer: Answer & Pick<ErrorAnswer, "maybe">) {
  const { description, schema, example, headers = [], maybe = [], links } = answer;
  const refs = [schema].flat().map((name) => ({ $ref: `#/components/schemas/${name}` }));
  return {
    description,
    headers: Object.fromEntries([
      ...["X-Request-Id", ...headers].map((name) => [
        name,
        { $ref: `#/components/headers/${name}` },
      ]),
      ...maybe.map((name) => [name, { ...HEADERS[name], required: false }]),
    ]),
    content: {
      "application/json": {
        schema: refs.length === 1 ? refs[0] : { anyOf: refs },
        ...(example === undefined ? {} : { example }),
      },
    },
    ...(links ? { links: linksOf(links) } : {}),
  };
}

function linksOf(links: Links) {
  const all = Object.entries(links);
  return Object.fromEntries(
    all.map(([operationId, parameters]) => [operationId, { operationId, parameters }]),
  );
}
