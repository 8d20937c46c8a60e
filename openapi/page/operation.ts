/** An operation or a webhook as a section of the page. */
import type { JsonSchema } from "../json-schema.ts";
import { json, plain, prose } from "./html.ts";
import { fieldTable, table, words } from "./schema.ts";

type Content = { "application/json": { schema: JsonSchema; example?: unknown } };
type Ref = { $ref?: string };

/** A response of the document, resolved or a reference. */
export type Response = Ref & {
  description?: string;
  headers?: Record<string, Ref>;
  content?: Content;
};

/** An operation of the document, as far as the page shows it. */
export type PageOperation = {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security?: object[];
  parameters?: {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema: JsonSchema;
  }[];
  requestBody?: { required: boolean; content: Content };
  responses: Record<string, Response>;
};

/** A section for an operation. `resolve` follows a reference to a response. */
export function operationSection(
  method: string,
  path: string,
  operation: PageOperation,
  resolve: (response: Response) => Response,
): string {
  const { operationId, summary, description, security, parameters, requestBody, responses } =
    operation;
  const open = security?.length === 0 ? '<span class="tag">no token</span>' : "";
  const either = (security?.length ?? 0) > 1 ? '<span class="tag">token optional</span>' : "";
  return `<section class="operation" id="${plain(operationId)}">
<h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${plain(path).replaceAll("/", "/<wbr>")}</code> ${open}${either}</h3>
<p class="summary">${prose(summary)}${description ? `. ${prose(description)}` : ""}</p>
${parameters ? parameterTable(parameters) : ""}
${requestBody ? body(requestBody) : ""}
${answers(responses, resolve)}
</section>`;
}

/** A section for a webhook: what is sent, and an example. */
export function webhookSection(name: string, operation: PageOperation): string {
  return `<section class="operation" id="${plain(name)}">
<h3><span class="method hook">EVENT</span> <code>${plain(name)}</code></h3>
<p class="summary">${prose(operation.summary)}</p>
${operation.requestBody ? body(operation.requestBody) : ""}
</section>`;
}

function parameterTable(parameters: NonNullable<PageOperation["parameters"]>): string {
  const rows = parameters.map(({ name, in: place, required, description = "", schema }) => [
    `<code>${plain(name)}</code>${required ? "" : ' <span class="optional">optional</span>'}`,
    place,
    words(schema),
    prose(description),
  ]);
  return `<h4>Parameters</h4>${table(["Name", "In", "Type", "Meaning"], rows)}`;
}

function body({ required, content }: NonNullable<PageOperation["requestBody"]>): string {
  const { schema, example } = content["application/json"];
  return `<h4>Body${required ? "" : ' <span class="optional">optional</span>'}</h4>
${fieldTable(schema)}${example === undefined ? "" : json(example)}`;
}

function answers(
  responses: Record<string, Response>,
  resolve: (response: Response) => Response,
): string {
  const shown = Object.entries(responses).map(([status, response]) => {
    const { description = "", headers = {}, content } = resolve(response);
    const { schema, example } = content?.["application/json"] ?? {};
    const told = Object.keys(headers).map((name) => `<code>${plain(name)}</code>`);
    return `<details${status.startsWith("2") ? " open" : ""}><summary><span class="status s${status[0]}">${status}</span> ${prose(description)}</summary>
<p>${schema ? `Body: ${words(schema)}. ` : ""}${told.length > 0 ? `Headers: ${told.join(" ")}` : ""}</p>
${example === undefined ? "" : json(example)}</details>`;
  });
  return `<h4>Answers</h4>${shown.join("\n")}`;
}
