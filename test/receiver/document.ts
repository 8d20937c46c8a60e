// Reads docs/receiving.md: its worked example and its code blocks.
import fs from "node:fs";
import path from "node:path";

/** The text of docs/receiving.md. */
export const DOC = fs.readFileSync(
  path.resolve(import.meta.dirname, "../../docs/receiving.md"),
  "utf8",
);

/** The first code block of a language, without the indentation of the list it may stand in. */
export function block(language: string): string {
  const found = new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, "m").exec(DOC);
  if (!found) throw new Error(`no block in ${language}`);
  return found[2]!.replaceAll(new RegExp(`^${found[1]}`, "gm"), "");
}

const [head, body] = block("http").trimEnd().split("\n\n") as [string, string];
const header = /^X-Convoy-Signature: (.*)$/m.exec(head)![1]!;

/** The worked example: the request's head and body, its signature, `t` in seconds, and the secret. */
export const EXAMPLE = {
  head,
  body,
  header,
  nowS: Number(/t=(\d+)/.exec(header)![1]),
  secret: /with the request above and the secret `(.*)`/.exec(DOC)![1]!,
};
