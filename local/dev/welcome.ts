/** What the dev command prints once everything is up: the addresses, and what to paste next. */

export type Welcome = {
  port: number;
  /** Undefined if another Convoy is used. */
  inboxUrl: string | undefined;
  /** Undefined while AUTH is open. */
  token: string | undefined;
};

/**
 * The text, with the tutorial's two commands ready to paste; the second takes the id that the first returns.
 */
export function welcome({ port, inboxUrl, token }: Welcome): string {
  const base = `http://0.0.0.0:${port}`;
  const headers = [
    ...(token ? [`'Authorization: Bearer ${token}'`] : []),
    "'Content-Type: application/json'",
  ];
  const sent = headers.map((header) => `-H ${header}`).join(" ");
  return `
Worker  http://127.0.0.1:${port}   (reference: /docs)
${inboxUrl ? `Inbox   ${inboxUrl}   (every webhook that was sent, with its signature checked)` : "Inbox   none: webhooks go through the Convoy that CONVOY_BASE_URL names"}
Portal  http://127.0.0.1:${port}/portal/   (endpoints, deliveries and events, as their owner sees them)
${token ? `\nA token is needed (AUTH=jwt): npm run token makes one for ${token === "TOKEN" ? "you, or your issuer does" : "any owner; the one below is valid for a day"}.\n` : ""}
Now paste this into another terminal:

  curl -X POST '${base}/endpoint' ${sent} \\
    -d '{"name":"Todo endpoint","description":"Endpoint for todo API.","http_timeout":"10s","url":"https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5"}'

and this, with the Endpoint ID of its answer:

  curl -X POST '${base}/todo?endpoint=ENDPOINT_ID' ${sent} \\
    -d '{"id":1,"item":"Setup a convoy webhook project and publish my first webhook"}'

Ctrl-C ends it.`;
}
