/** A noun in the document: its five routes, their answers and errors, all from its resource. */
import * as z from "zod/mini";
import type { AnyResource } from "../src/outbox/outbox.ts";
import { EndpointQuery, ListQuery, pageOf } from "../src/schema.ts";
import { CHANGE_UNKNOWN, type ErrorAnswer } from "./errors.ts";
import { type Answer, answer, type Operation, routesOf } from "./operation.ts";
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
  return {
    ...pathOf(resource),
    query: EndpointQuery,
    // A noun's rules may refuse a change.
    errors: [409],
    ownErrors: { 404: missing(resource), 503: CHANGE_UNKNOWN },
  };
}

/** The answer to a change that returns no value: `Todo with id 1 has been updated.` */
export function doneAnswer({ label, example }: AnyResource, done: string) {
  const data = `${label} with id ${example.id} has been ${done}.`;
  return answer("Done.", "Done", { data }, { headers: ["X-Event-Id"] });
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

export function nounOperations(resource: AnyResource): Operation[] {
  const { name, one, many, word } = namesOf(resource);
  const { example, verbs, bodies } = resource;
  const { created, updated, deleted, retrieved, failed } = verbs;
  const route = routesOf(many);
  const change = changeOf(resource);
  const { params, said } = change;
  return [
    route(`get /${name}`, `list${many}`, `List ${plural(word)}`, {
      description: `Ordered by id. \`endpoint\` gets \`${retrieved.type}\`.`,
      query: ListQuery,
      said,
      answers: { 200: answer("A page.", `${one}Page`, { data: [example] }) },
    }),
    route(`get /${name}/:id`, `get${one}`, `Read ${article(word)}`, {
      description: `\`endpoint\` gets \`${retrieved.type}\` or \`${failed.type}\`.`,
      ...{ params, query: EndpointQuery, said },
      answers: { 200: answer(`The ${word}.`, one, example) },
    }),
    route(`post /${name}`, `create${one}`, `Create ${article(word)}`, {
      description: `Publishes \`${created.type}\`. Without an id, the server chooses one.`,
      ...{ query: EndpointQuery, said },
      body: { schema: bodies.create, example: picked(resource, bodies.create) },
      answers: { 201: added(resource) },
      errors: [404, 409],
      ownErrors: { 503: CHANGE_UNKNOWN },
    }),
    route(`put /${name}/:id`, `update${one}`, `Change ${article(word)}`, {
      ...change,
      description: `Changes the given fields; publishes \`${updated.type}\`.`,
      body: { schema: bodies.update, example: picked(resource, bodies.update) },
      answers: { 200: doneAnswer(resource, "updated") },
    }),
    route(`delete /${name}/:id`, `delete${one}`, `Remove ${article(word)}`, {
      ...change,
      description: `Publishes \`${deleted.type}\`.`,
      answers: { 200: doneAnswer(resource, "removed") },
    }),
  ];
}

function added(resource: AnyResource): Answer {
  const { name, one, word } = namesOf(resource);
  const { label, example } = resource;
  const byId = { id: `$response.body#/${name}/id` };
  const links = {
    ...{ [`get${one}`]: byId, [`update${one}`]: byId, [`delete${one}`]: byId },
    getEvent: { id: "$response.header.X-Event-Id" },
  };
  const shown = { data: `${label} added`, [name]: example };
  return answer(`The ${word}.`, `${one}Added`, shown, {
    headers: ["Location", "X-Event-Id"],
    links,
  });
}

/** The example's fields that a body takes. */
function picked({ example }: AnyResource, { shape }: z.ZodMiniObject): object {
  return Object.fromEntries(Object.entries(example as object).filter(([field]) => field in shape));
}

function article(word: string): string {
  return `${/^[aeiou]/.test(word) ? "an" : "a"} ${word}`;
}
