// JSON as bytes: Convoy keeps what was posted, and signs it without whitespace.

const SPACE = /[ \t\r\n]/;

/** JSON without the whitespace outside strings, otherwise unchanged: what Go's json.Compact returns. */
export function compactJson(raw: string): string {
  return raw.replace(
    /("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+/g,
    (_, string?: string) => string ?? "",
  );
}

/**
 * The text of a top-level member's value, as written; undefined if the member is missing. The last one
 * wins, as in Go and JSON.parse. `raw` must be a valid JSON object.
 */
export function rawMember(raw: string, name: string): string | undefined {
  let found: string | undefined;
  let at = skipSpace(raw, skipSpace(raw, 0) + 1);
  while (raw[at] === '"') {
    const keyEnd = endOfString(raw, at);
    const key: unknown = JSON.parse(raw.slice(at, keyEnd));
    const start = skipSpace(raw, skipSpace(raw, keyEnd) + 1);
    const end = endOfValue(raw, start);
    if (key === name) found = raw.slice(start, end);
    at = skipSpace(raw, end);
    if (raw[at] === ",") at = skipSpace(raw, at + 1);
  }
  return found;
}

function skipSpace(raw: string, from: number): number {
  let at = from;
  while (SPACE.test(raw[at] ?? "")) at++;
  return at;
}

function endOfString(raw: string, from: number): number {
  let at = from + 1;
  while (raw[at] !== '"') at += raw[at] === "\\" ? 2 : 1;
  return at + 1;
}

function endOfValue(raw: string, from: number): number {
  if (raw[from] === '"') return endOfString(raw, from);
  let at = from;
  let depth = 0;
  for (; at < raw.length; at++) {
    const char = raw[at];
    if (char === '"') at = endOfString(raw, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (depth === 0) break;
      depth--;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (char === "," || SPACE.test(char ?? ""))) break;
  }
  return at;
}
