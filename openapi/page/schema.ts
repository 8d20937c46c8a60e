/** A JSON Schema in words and tables. */
import type { JsonSchema } from "../json-schema.ts";
import { plain } from "./html.ts";

/** What a value may be, in one line: `integer, 1 to 1000`. */
export function words(schema: JsonSchema): string {
  if (typeof schema.$ref === "string") return link(schema.$ref);
  if (Array.isArray(schema.anyOf)) return (schema.anyOf as JsonSchema[]).map(words).join(" or ");
  if ("const" in schema) return `<code>${plain(JSON.stringify(schema.const))}</code>`;
  if (Array.isArray(schema.enum)) {
    return schema.enum.map((value) => `<code>${plain(String(value))}</code>`).join(" ");
  }
  if (schema.type === "array") return `list of ${words(schema.items as JsonSchema)}`;
  const told = [String(schema.format ?? schema.type), range(schema)].filter(Boolean).join(", ");
  return plain(told);
}

/** Lower and upper bounds; the largest safe integer goes without saying. */
function range({ minimum, maximum, minLength, maxLength }: JsonSchema): string {
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (minimum !== undefined && most !== undefined) return `${minimum} to ${most}`;
  if (minimum !== undefined) return `from ${minimum}`;
  if (minLength !== undefined && maxLength !== undefined) {
    return `${minLength} to ${maxLength} characters`;
  }
  return maxLength === undefined ? "" : `at most ${maxLength} characters`;
}

/** An object's fields as a table; nested objects follow as `a.b`. Empty for anything else. */
export function fieldTable(schema: JsonSchema): string {
  const rows = fieldRows(schema, "");
  if (rows.length === 0) return "";
  return table(["Field", "Type"], rows);
}

function fieldRows(schema: JsonSchema, prefix: string): string[][] {
  const required = new Set((schema.required as string[] | undefined) ?? []);
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  return properties.flatMap(([name, field]) => [
    [`<code>${plain(prefix + name)}</code>${required.has(name) ? "" : optional}`, typeOf(field)],
    ...fieldRows(
      (field.items ?? field) as JsonSchema,
      `${prefix}${name}${field.items ? "[]" : ""}.`,
    ),
  ]);
}

const optional = ' <span class="optional">optional</span>';

function typeOf(field: JsonSchema): string {
  const pattern = patternOf(field);
  const shown = pattern
    ? `<details><summary>pattern</summary><code class="pattern">${plain(pattern)}</code></details>`
    : "";
  return `${words(field)}${shown}`;
}

function patternOf(field: JsonSchema): string | undefined {
  const all = [field, ...((field.anyOf as JsonSchema[] | undefined) ?? [])];
  const found = all.find((one) => one.pattern !== undefined)?.pattern;
  return typeof found === "string" ? found : undefined;
}

function link(ref: string): string {
  const name = ref.split("/").at(-1) ?? "";
  return `<a href="#schema-${plain(name)}">${plain(name)}</a>`;
}

/** A table of cells that are HTML already. */
export function table(heads: string[], rows: string[][]): string {
  const head = heads.map((cell) => `<th scope="col">${cell}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`);
  return `<div class="scroll" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}
