/** Request bodies: their size, their encoding, and JSON that says only one thing. */
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { problem } from "./errors.ts";
import { ambiguity } from "./json.ts";

/**
 * Largest request body, in bytes. The largest that a schema allows is an endpoint's: some 33 KB, if each
 * character is escaped (`\ud83d\ude00` is 12 bytes); the rest is for white space.
 */
export const BODY_MAX_BYTES = 64 * 1_024;

const ENDED_EARLY = "The body ended before it was complete.";

const limit = bodyLimit({
  maxSize: BODY_MAX_BYTES,
  onError: () => {
    throw problem(413, `The body is larger than ${BODY_MAX_BYTES} bytes.`);
  },
});

/** 415 for a compressed body, 413 for one over the limit, 400 for one that ends early. */
export async function limitBody(c: Context): Promise<void> {
  if (!c.req.raw.body) return;
  const encoding = c.req.header("Content-Encoding")?.trim().toLowerCase() || "identity";
  if (encoding !== "identity") {
    // RFC 9110, 12.5.3: in a response it names what would have been taken.
    const headers = { "Accept-Encoding": "identity" };
    throw await unread(c, "Send the body as it is, without Content-Encoding.", headers);
  }
  try {
    await limit(c, async () => {});
  } catch (error) {
    throw error instanceof HTTPException ? error : problem(400, ENDED_EARLY);
  }
}

/** Reads the JSON body, for the validator. 415 if it is not declared as JSON in UTF-8, 400 if it is not. */
export async function readJson(c: Context): Promise<void> {
  await checkType(c);
  const text = await readText(c);
  if (text.trim() === "") throw problem(400, "The body is empty: send JSON.");
  keep(c, parse(text));
}

/** Like readJson, but no body, whatever its type, is read as `{}`; `null` is none: generated clients send it. */
export async function readJsonIfAny(c: Context): Promise<void> {
  const text = await readText(c);
  if (["", "null"].includes(text.trim())) return keep(c, {});
  await checkType(c);
  keep(c, parse(text));
}

async function checkType(c: Context): Promise<void> {
  const type = c.req.header("Content-Type") ?? "";
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw await unread(c, "Send JSON, with the header Content-Type: application/json.");
  }
  for (const [, charset = ""] of type.matchAll(/;\s*charset\s*=\s*"?([^\s";]*)/gi)) {
    if (/^utf-?8$/i.test(charset)) continue;
    throw await unread(c, "Send JSON in UTF-8, without another charset in Content-Type.");
  }
}

/** 415, after letting go of the body that nobody will read. */
async function unread(c: Context, error: string, headers: Record<string, string> = {}) {
  if (!c.req.raw.bodyUsed) await c.req.raw.body?.cancel();
  return problem(415, error, { headers });
}

async function readText(c: Context): Promise<string> {
  const bytes = await c.req.arrayBuffer().catch(() => {
    throw problem(400, ENDED_EARLY);
  });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw problem(400, "The body is not valid UTF-8.");
  }
}

function parse(text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw problem(400, "The body is not valid JSON.");
  }
  const found = ambiguity(text);
  if (found) throw problem(400, `The body is not valid JSON: ${found}.`);
  return json;
}

/** Leaves the JSON where Hono's validator asks for it, which would parse it once more. */
function keep(c: Context, json: unknown): void {
  c.req.json = async () => json as never;
}
