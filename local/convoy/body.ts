// Reads request bodies as Convoy does: anything but the JSON it expects gets the same 400.
import { Refusal } from "./envelope.ts";

/** A body as a JSON object, with its original text. */
export type Body = { raw: string; json: Record<string, unknown> };

/** Reads a JSON object; anything else is 400 "Invalid request format" (recorded). */
export async function readBody(request: Request): Promise<Body> {
  const raw = await request.text();
  try {
    const json: unknown = JSON.parse(raw);
    if (typeof json === "object" && json !== null && !Array.isArray(json))
      return { raw, json: json as Record<string, unknown> };
  } catch {
    // Falls through to the refusal below.
  }
  throw new Refusal(400, "Invalid request format");
}

/** The types that a member can be required to have. */
type Kinds = { string: string; integer: number; boolean: boolean; object: Record<string, unknown> };

function isKind(value: unknown, kind: keyof Kinds): boolean {
  if (kind === "integer") return Number.isSafeInteger(value);
  if (kind === "object")
    return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === kind;
}

/** A member of that type; undefined if it is missing or null, 400 if it has another type. */
export function member<Kind extends keyof Kinds>(
  json: Record<string, unknown>,
  name: string,
  kind: Kind,
): Kinds[Kind] | undefined {
  const value = json[name];
  if (value === undefined || value === null) return undefined;
  if (!isKind(value, kind)) throw new Refusal(400, "Invalid request format");
  return value as Kinds[Kind];
}

/** A list of strings; undefined if it is missing or null, 400 if it is anything else. */
export function strings(json: Record<string, unknown>, name: string): string[] | undefined {
  const value = json[name];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
    throw new Refusal(400, "Invalid request format");
  return value as string[];
}
