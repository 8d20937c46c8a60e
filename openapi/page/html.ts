/** Text as HTML. */

/** Text that shows as it is. */
export function plain(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** A sentence of the document: `code` is the only markup that they use. */
export function prose(text: string): string {
  return plain(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}

/** An example, as JSON. */
export function json(value: unknown): string {
  // Focusable, so that who has no mouse can scroll it.
  return `<pre tabindex="0"><code>${plain(JSON.stringify(value, null, 2))}</code></pre>`;
}
