// Formats values for display.

/** The time of day, to the second; with the date if it is not today. */
export function time(iso) {
  const at = new Date(iso);
  const clock = at.toLocaleTimeString(undefined, { hour12: false });
  if (at.toDateString() === new Date().toDateString()) return clock;
  return `${at.toLocaleDateString(undefined, { month: "short", day: "numeric" })} ${clock}`;
}

/** The time between two instants: "120 ms", "1.2 s". */
export function between(from, to) {
  const ms = Math.max(0, Date.parse(to) - Date.parse(from));
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A body as an object; undefined if it is not one. */
export function parsed(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The todo in a body: its id and item. */
export function todoOf(body) {
  const { todo } = parsed(body) ?? {};
  if (typeof todo !== "object" || todo === null) return undefined;
  return { id: String(todo.id), item: String(todo.item ?? "") };
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

/** A URL without its scheme, for narrow places. */
export const shortUrl = (url) => url.replace(/^https?:\/\//, "");

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
