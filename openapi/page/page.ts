/** The page at /docs: the document to read. No script, nothing from elsewhere. */
import type { buildDocument } from "../document.ts";
import type { JsonSchema } from "../json-schema.ts";
import { plain, prose } from "./html.ts";
import {
  operationSection,
  type PageOperation,
  type Response,
  webhookSection,
} from "./operation.ts";
import { fieldTable } from "./schema.ts";

type Document = ReturnType<typeof buildDocument>;
type Entry = { method: string; path: string; operation: PageOperation };

/** The whole page. */
export function page(document: Document): string {
  const { info, tags } = document;
  const entries = operations(document);
  const hooks = Object.entries(document.webhooks) as unknown as [string, { post: PageOperation }][];
  const responses = document.components.responses as Record<string, Response>;
  const resolve = (response: Response) =>
    response.$ref ? (responses[response.$ref.split("/").at(-1) ?? ""] ?? {}) : response;
  const sections = tags.map(({ name, description }) => {
    const inside =
      name === "Webhooks"
        ? hooks.map(([type, { post }]) => webhookSection(type, post))
        : of(entries, name).map((e) => operationSection(e.method, e.path, e.operation, resolve));
    return `<h2 id="tag-${name}">${name}</h2><p>${prose(description)}</p>${inside.join("\n")}`;
  });
  const nav = tags.map(({ name }) => {
    const links =
      name === "Webhooks"
        ? hooks.map(([type]) => `<li><a href="#${type}">${type}</a></li>`)
        : of(entries, name).map(
            ({ operation }) =>
              `<li><a href="#${operation.operationId}">${prose(operation.summary)}</a></li>`,
          );
    return `<a class="group" href="#tag-${name}">${name}</a><ul>${links.join("")}</ul>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${plain(info.title)} · API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<a class="skip" href="#main">Skip to the reference</a>
<header><h1>${plain(info.title)}</h1><p>${prose(info.summary)} ${prose(info.description)}</p>
<p>Version ${plain(info.version)} · <a href="/openapi.json">OpenAPI ${plain(document.openapi)} document</a></p></header>
<div class="layout">
<nav aria-label="Operations"><details open><summary>Contents</summary>${nav.join("\n")}<a class="group" href="#schemas">Shapes</a></details></nav>
<main id="main">
<p>Send a token with every call that does not say otherwise: <code>Authorization: Bearer TOKEN</code>. ${prose(document.components.securitySchemes.bearer.description)}</p>
${sections.join("\n")}
<h2 id="schemas">Shapes</h2>
${schemas(document)}
</main>
</div>
</body>
</html>
`;
}

function operations(document: Document): Entry[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      method,
      path,
      operation: operation as PageOperation,
    })),
  );
}

function of(entries: Entry[], tag: string): Entry[] {
  return entries.filter(({ operation }) => operation.tags.includes(tag));
}

function schemas({ components }: Document): string {
  return Object.entries(components.schemas as Record<string, JsonSchema>)
    .map(
      ([name, schema]) =>
        `<section id="schema-${plain(name)}"><h3>${plain(name)}</h3>${fieldTable(schema)}</section>`,
    )
    .join("\n");
}
