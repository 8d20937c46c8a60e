// Reads request bodies as Convoy does: anything but the JSON it expects gets the same 400 (recorded).
import * as z from "zod/mini";
import { Refusal } from "./envelope.ts";

/** Kinds of members; each may be missing, and null counts as missing. */
export const text = z.nullish(z.string());
export const texts = z.nullish(z.array(z.string()));
export const integer = z.nullish(z.int());
export const flag = z.nullish(z.boolean());
export const object = z.nullish(z.record(z.string(), z.unknown()));

/** The members of a body, and its original text. */
export async function readBody<S extends z.ZodMiniObject>(request: Request, members: S) {
  const raw = await request.text();
  try {
    return { raw, json: z.parse(members, JSON.parse(raw)) };
  } catch {
    throw new Refusal(400, "Invalid request format");
  }
}
