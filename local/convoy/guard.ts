// Who may speak to a local Convoy over HTTP: programs and its own page on this machine, by this machine's names.

const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]", "0.0.0.0"]);

/**
 * Why a request is refused; undefined where it is not. A foreign Host means DNS rebinding. An Origin other than the Host,
 * port included, means a page that is not its own, be it of another program on this machine; programs send no Origin. A
 * webhook may have its address as an endpoint, and must not reset it.
 */
export function refusalOf(headers: Headers): string | undefined {
  const asked = URL.parse(`http://${headers.get("Host") ?? ""}`);
  if (asked === null || !LOOPBACK.has(asked.hostname))
    return "this Host is not served here; use 127.0.0.1 or localhost";
  const origin = headers.get("Origin");
  if (origin !== null && URL.parse(origin)?.origin !== asked.origin)
    return "requests from other sites are refused";
  // A link from elsewhere may lead here; what another site loads or sends on its own may not.
  const site = headers.get("Sec-Fetch-Site") ?? "none";
  const isOwn = site === "same-origin" || site === "none";
  if (!isOwn && headers.get("Sec-Fetch-Mode") !== "navigate")
    return "requests from other sites are refused";
  if (headers.has("X-Convoy-Signature"))
    return "this is the local Convoy itself; it takes no webhooks";
  return undefined;
}
