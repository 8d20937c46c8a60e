// What a delivery holds: its body, what that is about, and how it went.

/** A body as an object; undefined if it is not one. */
export function parsed(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What a body is about: the resource in it, its id and its first text; undefined if there is none. */
export function subjectOf(body) {
  const all = Object.values(parsed(body) ?? {});
  const found = all.find((value) => typeof value === "object" && value !== null);
  if (found === undefined || Array.isArray(found)) return undefined;
  const { id, ...rest } = found;
  const text = Object.values(rest).find((value) => typeof value === "string");
  return { id: id === undefined ? "" : String(id), text: text ?? "" };
}

/** JSON with line breaks, numbers as written; other text unchanged. */
export function pretty(body) {
  if (parsed(body) === undefined) return body;
  let depth = 0;
  // Token by token, since JSON.parse would round large numbers.
  const tokens = body.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let text = "";
  for (const [at, token] of tokens.entries()) {
    const before = tokens[at - 1];
    const empty = (before === "{" && token === "}") || (before === "[" && token === "]");
    if ((token === "}" || token === "]") && !empty) text += `\n${"  ".repeat(--depth)}`;
    else if (empty) depth--;
    else if (before === "{" || before === "[" || before === ",") text += `\n${"  ".repeat(depth)}`;
    text += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
  }
  return text;
}

/** The tone of a status, for its colour: good, bad, waiting or off. */
export function tone(status) {
  if (status === "Success") return "good";
  if (status === "Failure") return "bad";
  if (status === "Discarded") return "off";
  return status === "Retry" ? "bad" : "waiting";
}

/** The verdict on a signature as a word and a tone. Not every delivery was sent. */
export function verdict(signature) {
  if (signature.header === null) return { word: "not sent", tone: "off" };
  return signature.valid ? { word: "valid", tone: "good" } : { word: "invalid", tone: "bad" };
}
