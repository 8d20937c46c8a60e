/** A noun in the document: its five routes, their answers and errors, all from its resource. */
import * as z from "zod/mini";
import type { AnyResource } from "../src/outbox/outbox.ts";
import { EndpointQuery, ListQuery, pageOf } from "../src/schema.ts";
import { CHANGE_UNKNOWN, type ErrorAnswer } from "./errors.ts";
import type { Operation } from "./operation.ts";
import type { Said } from "./parameters.ts";

/** The answer to a change that returns no value. */
export const Done = z.object({ data: z.string() });

/** How a noun is called: `line_item`, `LineItem`, `LineItems` (its tag), `line item`. */
export function namesOf({ name, label }: AnyResource) {
  const one = name.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  return { name, one, many: plural(one), word: label.toLowerCase() };
}

function plural(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return /(s|x|ch|sh)$/.test(word) ? `${word}es` : `${word}s`;
}

/** What is returned about a noun, by the names that its operations use. */
export function nounSchemas(resource: AnyResource): Record<string, z.ZodMiniType> {
  const { name, one } = namesOf(resource);
  const { label, schema } = resource;
  return {
    [one]: schema,
    [`${one}Page`]: pageOf(schema),
    [`${one}Added`]: z.object({ data: z.literal(`${label} added`), [name]: schema }),
  };
}

/** A change of one that does not exist: the error, the tutorial's text beside it, and perhaps a `failed` event. */
function missing(resource: AnyResource): ErrorAnswer {
  const { one, word } = namesOf(resource);
  const { label, example, verbs } = resource;
  return {
    name: `No${one}`,
    description: `No such ${word} (the endpoint in the query gets \`${verbs.failed.type}\`), or no such endpoint.`,
    example: { error: `${label} not found`, data: `${label} with id ${example.id} not found.` },
    headers: ["X-Event-Id"],
  };
}

/** What any route that changes one by its id says: for a noun's further routes too. */
export function changeOf(resource: AnyResource) {
  const { many } = namesOf(resource);
  return {
    tag: many,
    ...pathOf(resource),
    query: EndpointQuery,
    // A noun's rules may refuse a change.
    errors: [404, 409],
    ownErrors: { 404: missing(resource), 503: CHANGE_UNKNOWN },
  };
}

/** The answer to a change that returns no value: `Todo with id 1 has been updated.` */
export function doneAnswer({ label, example }: AnyResource, done: string) {
  return {
    description: "Done.",
    schema: "Done",
    example: { data: `${label} with id ${example.id} has been ${done}.` },
    headers: ["X-Event-Id"],
  };
}

function pathOf(resource: AnyResource) {
  const { id, example } = resource;
  const said: Record<string, Said> = {
    id: { description: `The ${namesOf(resource).word}'s id.`, example: example.id },
    endpoint: {
      description:
        "The endpoint that gets the event. If omitted: all endpoints for a change, none for a read.",
    },
  };
  return { params: z.object({ id: id.path }), said };
}

/** The five routes. */
export function nounOperations(resource: AnyResource): Operation[] {
  return [...reads(resource), ...changes(resource)];
}

function reads(resource: AnyResource): Operation[] {
  const { name, one, many, word } = namesOf(resource);
  const { example, verbs } = resource;
  const { retrieved, failed } = verbs;
  const { params, said } = pathOf(resource);
  return [
    {
      method: "get",
      path: `/${name}`,
      id: `list${many}`,
      tag: many,
      summary: `List ${plural(word)}`,
      description: `Ordered by id. \`endpoint\` gets \`${retrieved.type}\`.`,
      query: ListQuery,
      said,
      answers: {
        200: { description: "A page.", schema: `${one}Page`, example: { data: [example] } },
      },
    },
    {
      method: "get",
      path: `/${name}/:id`,
      id: `get${one}`,
      tag: many,
      summary: `Read ${article(word)}`,
      description: `\`endpoint\` gets \`${retrieved.type}\` or \`${failed.type}\`.`,
      params,
      query: EndpointQuery,
      said,
      answers: { 200: { description: `The ${word}.`, schema: one, example } },
      errors: [404],
    },
  ];
}

function changes(resource: AnyResource): Operation[] {
  const { name, one, many, word } = namesOf(resource);
  const { created, updated, deleted } = resource.verbs;
  const { create, update } = resource.bodies;
  const change = changeOf(resource);
  return [
    {
      method: "post",
      path: `/${name}`,
      id: `create${one}`,
      tag: many,
      summary: `Create ${article(word)}`,
      description: `Publishes \`${created.type}\`. Without an id, the server chooses one.`,
      query: EndpointQuery,
      said: change.said,
      body: { schema: create, example: picked(resource, create) },
      answers: { 201: added(resource) },
      errors: [404, 409],
      ownErrors: { 503: CHANGE_UNKNOWN },
    },
    {
      ...change,
      method: "put",
      path: `/${name}/:id`,
      id: `update${one}`,
      summary: `Change ${article(word)}`,
      description: `Changes the given fields; publishes \`${updated.type}\`.`,
      body: { schema: update, example: picked(resource, update) },
      answers: { 200: doneAnswer(resource, "updated") },
    },
    {
      ...change,
      method: "delete",
      path: `/${name}/:id`,
      id: `delete${one}`,
      summary: `Remove ${article(word)}`,
      description: `Publishes \`${deleted.type}\`.`,
      answers: { 200: doneAnswer(resource, "removed") },
    },
  ];
}

function added(resource: AnyResource) {
  const { name, one, word } = namesOf(resource);
  const { label, example } = resource;
  const id = `$response.body#/${name}/id`;
  return {
    description: `The ${word}.`,
    schema: `${one}Added`,
    example: { data: `${label} added`, [name]: example },
    headers: ["Location", "X-Event-Id"],
    links: {
      [`get${one}`]: { id },
      [`update${one}`]: { id },
      [`delete${one}`]: { id },
      getEvent: { id: "$response.header.X-Event-Id" },
    },
  };
}

/** The example's fields that a body takes. */
function picked({ example }: AnyResource, { shape }: z.ZodMiniObject): object {
  return Object.fromEntries(Object.entries(example as object).filter(([field]) => field in shape));
}

function article(word: string): string {
  return `${/^[aeiou]/.test(word) ? "an" : "a"} ${word}`;
}
