/** Checks an answer's status, headers and body against the API document; runs in Node and in workerd. */
import { Validator } from "@cfworker/json-schema";
import { buildDocument } from "../../openapi/document.ts";

/** An answer to check; `path` may have a query, `body` is parsed JSON. */
export type Answered = {
  method: string;
  path: string;
  status: number;
  headers: Headers;
  body: unknown;
};

type Node = { [key: string]: Node };

/** Checks answers against a document: `undocumented` lists where an answer differs, `demand` throws if it does. */
export type Checker = {
  undocumented: (answer: Answered) => string[];
  demand: (answer: Answered) => void;
};

/** The check of answers against a document. */
export function checkerOf(document: object): Checker {
  const root = document as Node;
  const valid = validatorsOf(root);
  const undocumented = ({ method, path, status, headers, body }: Answered): string[] => {
    // A CORS preflight is no API call.
    if (method === "OPTIONS" && status === 204) return [];
    const known = pathOf(root, path);
    const operation = known?.[method === "HEAD" ? "get" : method.toLowerCase()];
    if (!operation) return offTheMap(root, valid, { known, status, headers, body });
    const response = deref(root, operation.responses?.[status]);
    if (!response) return [`no answer ${status} is described`];
    const schema = response.content?.["application/json"]?.schema;
    return [
      ...headerProblems(root, valid, response.headers ?? ({} as Node), headers),
      ...(method === "HEAD" ? [] : valid(schema, body)),
      ...typeProblem(headers),
    ];
  };
  return {
    undocumented,
    demand(answer) {
      const wrong = undocumented(answer);
      if (wrong.length === 0) return;
      throw new Error(
        `${answer.method} ${answer.path} ${answer.status} is not what the API document says:\n${wrong.join("\n")}\n${JSON.stringify(answer.body)}`,
      );
    },
  };
}

/** The check against this service's own document. */
export const { undocumented, demand: demandDocumented } = checkerOf(buildDocument());

type Off = { known: Node | undefined; status: number; headers: Headers; body: unknown };

// What the document cannot describe, for want of an operation: 404, 405, and 4xx or 503 before routing.
function offTheMap(root: Node, valid: Valid, { known, status, headers, body }: Off): string[] {
  const expected = known ? 405 : 404;
  const early = [401, 403, 413, 503].includes(status);
  const allowed = Object.keys(known ?? {}).map((name) => name.toUpperCase());
  const told = (headers.get("Allow") ?? "").split(", ").filter((name) => name !== "HEAD");
  return [
    ...(status === expected || early ? [] : [`${status}, not ${expected}`]),
    ...(status === 405 && [...told].sort().join() !== [...allowed].sort().join()
      ? [`Allow: ${headers.get("Allow")}, not ${allowed.join(", ")}`]
      : []),
    ...valid(root.components?.schemas?.Error, body),
    ...typeProblem(headers),
  ];
}

function pathOf(root: Node, path: string): Node | undefined {
  const { pathname } = new URL(`http://x.test${path}`);
  const fitting = Object.entries(root.paths ?? {}).filter(([template]) => fits(template, pathname));
  if (fitting.length === 0) return undefined;
  // A fixed path wins over a pattern, but has the pattern's other methods as well: "sync" is an id, too.
  const [fixed, patterns] = [0, 1].map((n) =>
    fitting.filter(([template]) => Number(template.includes("{")) === n).map(([, item]) => item),
  );
  return Object.assign({}, ...(patterns ?? []), ...(fixed ?? [])) as Node;
}

function fits(template: string, pathname: string): boolean {
  const pattern = template.replace(/\./g, "\\.").replace(/\{\w+\}/g, "[^/]+");
  return new RegExp(`^${pattern}$`).test(pathname);
}

function headerProblems(root: Node, valid: Valid, described: Node, headers: Headers): string[] {
  return Object.entries(described).flatMap(([name, entry]) => {
    const header = deref(root, entry);
    const value = headers.get(name);
    if (value === null) return header?.required ? [`no header ${name}`] : [];
    return valid(header?.schema, value).map((problem) => `header ${name}: ${problem}`);
  });
}

function typeProblem(headers: Headers): string[] {
  const type = headers.get("Content-Type");
  return type?.startsWith("application/json") ? [] : [`Content-Type: ${type}`];
}

/** What is wrong with a value, by its schema. */
type Valid = (schema: Node | undefined, value: unknown) => string[];

function validatorsOf(root: Node): Valid {
  const validators = new Map<Node, Validator>();
  return (schema, value) => {
    if (!schema) return ["no schema is described"];
    let validator = validators.get(schema);
    if (!validator) {
      validator = new Validator({ ...schema, components: root.components } as object, "2020-12");
      validators.set(schema, validator);
    }
    const { valid, errors } = validator.validate(value);
    return valid ? [] : errors.map((e) => `${e.instanceLocation}: ${e.error}`);
  };
}

function deref(root: Node, node: Node | undefined): Node | undefined {
  const ref: unknown = node?.$ref;
  if (typeof ref !== "string") return node;
  const names = ref.slice(2).split("/");
  return names.reduce<Node | undefined>((at, name) => at?.[name], root);
}
