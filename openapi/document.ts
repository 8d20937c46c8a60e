/** The OpenAPI 3.1 document, from the route table and the Worker's own schemas. */
import type * as z from "zod/mini";
import { SCHEMAS } from "./answers.ts";
import { CHANGE_UNKNOWN, ERRORS, TODO_NOT_FOUND } from "./errors.ts";
import { HEADERS } from "./headers.ts";
import { inputSchema, parameterSchema } from "./json-schema.ts";
import type { Answer, Operation } from "./operation.ts";
import { PARAMETERS } from "./parameters.ts";
import { ENDPOINT } from "./routes/endpoint.ts";
import { ENDPOINT_LIFE } from "./routes/endpoint-life.ts";
import { EVENT } from "./routes/event.ts";
import { OTHER } from "./routes/other.ts";
import { TODO } from "./routes/todo.ts";
import { webhooks } from "./webhooks.ts";

/** Every route, in the order of the document. */
export const OPERATIONS: Operation[] = [...TODO, ...ENDPOINT, ...ENDPOINT_LIFE, ...EVENT, ...OTHER];

const TAGS = [
  { name: "Todos", description: "Every change publishes an event." },
  {
    name: "Endpoints",
    description: "Where webhooks go.",
  },
  { name: "Events", description: "What was published." },
  { name: "Service", description: "The API itself." },
  { name: "Webhooks", description: "What an endpoint receives." },
];

/** The document as JSON: what /openapi.json serves. */
export function buildDocument() {
  return {
    openapi: "3.1.1",
    info: {
      title: "Todo webhooks",
      version: "0.1.0",
      summary: "Todos that send a webhook for everything that happens to them.",
      description: "Everything belongs to its owner, the subject of the token.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    tags: TAGS,
    paths: paths(),
    webhooks: webhooks(),
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: 'A token whose `sub` is the owner. Not needed if AUTH is "open".',
        },
      },
      headers: HEADERS,
      responses: Object.fromEntries(
        [...Object.values(ERRORS), TODO_NOT_FOUND, CHANGE_UNKNOWN].map((error) => [
          error.name,
          response({ ...error, schema: "Error" }),
        ]),
      ),
      schemas: SCHEMAS,
    },
  };
}

/** `/todo/:id` as OpenAPI writes it. */
export function toTemplate(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function paths() {
  const byPath: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS) {
    const path = toTemplate(operation.path);
    byPath[path] = { ...byPath[path], [operation.method]: toOpenApi(operation) };
  }
  return byPath;
}

function toOpenApi(operation: Operation) {
  const { id, tag, summary, description, caller = "owner", body } = operation;
  const parameters = [
    ...toParameters(tag, "path", operation.params),
    ...toParameters(tag, "query", operation.query),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description ? { description } : {}),
    ...(caller === "either" ? { security: [{}, { bearer: [] }] } : {}),
    ...(caller === "anyone" ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: !body.optional,
            content: {
              "application/json": { schema: inputSchema(body.schema), example: body.example },
            },
          },
        }
      : {}),
    responses: {
      ...Object.fromEntries(
        errorsOf(operation).map((status) => [status, { $ref: ref(operation, status) }]),
      ),
      ...Object.fromEntries(
        Object.entries(operation.answers).map(([status, answer]) => [status, response(answer)]),
      ),
    },
  };
}

function toParameters(tag: string, place: "path" | "query", object?: z.ZodMiniObject) {
  return Object.entries((object?.shape ?? {}) as Record<string, z.ZodMiniType>).map(
    ([name, schema]) => ({
      name,
      in: place,
      ...(place === "path" ? { required: true } : {}),
      ...(PARAMETERS[`${tag} ${name}`] ?? PARAMETERS[name]),
      schema: parameterSchema(schema),
    }),
  );
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
    ...errors,
    ...[500, 503],
  ].sort();
}

function ref({ tag, method, id }: Operation, status: number): string {
  const isChange = tag === "Todos" && method !== "get";
  const special =
    isChange && status === 404 && id !== "createTodo"
      ? TODO_NOT_FOUND
      : isChange && status === 503
        ? CHANGE_UNKNOWN
        : ERRORS[status];
  if (!special) throw new Error(`No description of status ${status}`);
  return `#/components/responses/${special.name}`;
}

function response({ description, schema, example, headers = [], links }: Answer) {
  const refs = [schema].flat().map((name) => ({ $ref: `#/components/schemas/${name}` }));
  return {
    description,
    headers: Object.fromEntries(
      ["X-Request-Id", ...headers].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
    ),
    content: {
      "application/json": {
        schema: refs.length === 1 ? refs[0] : { anyOf: refs },
        ...(example === undefined ? {} : { example }),
      },
    },
    ...(links
      ? {
          links: Object.fromEntries(
            Object.entries(links).map(([operationId, parameters]) => [
              operationId,
              { operationId, parameters },
            ]),
          ),
        }
      : {}),
  };
}
