// Snippets to copy: the same request as curl, and a few lines that verify it.

/** Quoted for a POSIX shell. */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A delivery as a curl command: same URL, headers and bytes. */
export function asCurl(delivery) {
  const headers = Object.entries(delivery.headers)
    .filter(([name]) => name !== "Accept-Encoding")
    .map(([name, value]) => `  -H ${quoted(`${name}: ${value}`)}`);
  return [
    `curl -X POST ${quoted(delivery.url)}`,
    ...headers,
    `  --data-raw ${quoted(delivery.body)}`,
  ].join(" \\\n");
}

/** A few lines of TypeScript that verify this delivery; they run as they are. */
export function asTypeScript(delivery) {
  const { header } = delivery.signature;
  const advanced = delivery.check?.advanced ?? true;
  const start = [
    'import { createHmac, timingSafeEqual } from "node:crypto";',
    "",
    "// The secret that POST /endpoint returned, and the body exactly as it arrived.",
    "const secret = process.env.WEBHOOK_SECRET;",
    'if (!secret) throw new Error("WEBHOOK_SECRET is not set"); // anyone can sign with an empty one',
    `const body = ${JSON.stringify(delivery.body)};`,
    `const header = ${JSON.stringify(header ?? "")}; // X-Convoy-Signature`,
    "",
  ];
  const same = [
    "const same = (a: string, b: string) => {",
    "  const [x, y] = [Buffer.from(a), Buffer.from(b)]; // bytes: a forged header may have others than hex",
    "  return x.length === y.length && timingSafeEqual(x, y);",
    "};",
  ];
  const simple = [
    'const expected = createHmac("sha256", secret).update(body).digest("hex");',
    ...same,
    "console.log(same(header, expected));",
  ];
  const timed = [
    'const parts = header.split(",").map((part) => part.trim());',
    'const t = parts.find((part) => /^t=\\d+$/.test(part))?.slice(2) ?? "";',
    'const expected = createHmac("sha256", secret).update(t + "," + body).digest("hex");',
    ...same,
    'const valid = t !== "" && parts.some((part) => same(part, "v1=" + expected));',
    "const fresh = Math.abs(Date.now() / 1000 - Number(t)) <= 300; // refuse old ones in a receiver",
    "console.log({ valid, fresh });",
  ];
  return [...start, ...(advanced ? timed : simple), ""].join("\n");
}

/** The tutorial's two commands; the second takes the id that the first returns. */
export function tutorialCurls(workerUrl, endpointId) {
  const headers = ["-H 'accept: application/json' \\", "-H 'Content-Type: application/json' \\"];
  return [
    [
      "curl -X 'POST' \\",
      `'${workerUrl}/endpoint' \\`,
      ...headers,
      `-d ' {
        "name": "Todo endpoint",
        "description": "Endpoint for todo API.",
        "http_timeout": "10s",
        "url": "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5"
}'`,
    ].join("\n"),
    [
      "curl -X 'POST' \\",
      `'${workerUrl}/todo?endpoint=${endpointId ?? "ENDPOINT_ID"}' \\`,
      ...headers,
      `-d '{
"id": 1,
"item": "Setup a convoy webhook project and publish my first webhook"
}'`,
    ].join("\n"),
  ];
}
