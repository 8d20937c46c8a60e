// JSON as bytes: Convoy keeps what was posted, and signs it without whitespace.

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** JSON without the whitespace outside strings, otherwise unchanged: what Go's json.Compact returns. */
export function compactJson(raw: string): string {
  return raw.match(TOKENS)?.join("") ?? "";
}

/**
 * The text of a top-level member's value, as written; undefined if the member is missing. The last one
 * wins, as in Go and JSON.parse. `raw` must be a valid JSON object.
 */
export function rawMember(raw: string, name: string): string | undefined {
  let found: string | undefined;
  let key: unknown;
  let from: number | undefined;
  let [depth, end] = [0, 0];
  for (const { 0: token, index } of raw.matchAll(TOKENS)) {
    if (token === "}" || token === "]") depth--;
    const endsMember = depth === 0 ? token === "}" : depth === 1 && token === ",";
    if (endsMember) {
      if (key === name) found = raw.slice(from, end);
      key = from = undefined;
    } else if (depth === 1 && key === undefined) key = JSON.parse(token);
    else if (depth === 1 && token !== ":") from ??= index;
    if (token === "{" || token === "[") depth++;
    end = index + token.length;
  }
  return found;
}
