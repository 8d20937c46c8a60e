/** JSON Schemas made from the Worker's zod schemas, the only source of shapes in the document. */
import * as z from "zod/mini";

export type JsonSchema = { [key: string]: unknown };

/** The schema of what a caller sends: before parsing. */
export function inputSchema(schema: z.ZodMiniType): JsonSchema {
  return bare(z.toJSONSchema(schema, { io: "input" }));
}

/**
 * The schema of a parameter in a path or query. What is parsed into a number is described as that
 * number, everything else as the text sent.
 */
export function parameterSchema(schema: z.ZodMiniType): JsonSchema {
  const parsed = bare(z.toJSONSchema(schema, { io: "output", unrepresentable: "any" }));
  // Only digits are taken.
  if (parsed.type === "integer") return { minimum: 0, ...parsed };
  return parsed.type === undefined ? inputSchema(schema) : parsed;
}

/** Named schemas, which refer to each other as `#/components/schemas/NAME`. */
export function namedSchemas(named: Record<string, z.ZodMiniType>): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const uri = (id: string) => `#/components/schemas/${id}`;
  const { schemas } = z.toJSONSchema(registry, { io: "output", uri });
  return Object.fromEntries(Object.keys(named).map((id) => [id, bare(schemas[id] as JsonSchema)]));
}

/** The largest whole number that a generator's plain integer holds: 32 bits. */
const INT32_MAX = 2 ** 31 - 1;

// Removes what the document states once (the dialect), zod's own pattern beside a format such as a
// date's, and the minimums that zod adds where none was set: the lowest safe integer, the length 0.
// Adds the format without which generators make 32 bits of an id.
function bare(schema: object): JsonSchema {
  const text = JSON.stringify(schema, (key, value) => {
    if (key === "$schema" || key === "$id") return undefined;
    if (key === "minimum" && value === Number.MIN_SAFE_INTEGER) return undefined;
    if (key === "minLength" && value === 0) return undefined;
    if (value?.type === "integer" && !(value.maximum <= INT32_MAX) && !value.format) {
      return { ...value, format: "int64" };
    }
    if (value?.type === "string" && value.format && value.pattern) {
      const { pattern: _, ...rest } = value;
      return rest;
    }
    return value;
  });
  return JSON.parse(text) as JsonSchema;
}
