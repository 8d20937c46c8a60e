// Who may talk to a local Convoy over HTTP: programs and pages of this machine, by its own names.

const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]", "0.0.0.0"]);

function hostnameOf(origin: string): string | undefined {
  return URL.parse(origin)?.hostname;
}

/**
 * Why a request is refused; undefined where it is not. A foreign Host means DNS rebinding, a foreign Origin a page that
 * asks on its own account; programs send no Origin. `allowedHosts` are host names, without ports.
 */
export function refusalOf(
  headers: Headers,
  allowedHosts: ReadonlySet<string> = LOOPBACK,
): string | undefined {
  const host = hostnameOf(`http://${headers.get("Host") ?? ""}`);
  if (host === undefined || !allowedHosts.has(host))
    return "this Host is not served here; use 127.0.0.1 or localhost";
  const origin = headers.get("Origin");
  if (origin !== null && !allowedHosts.has(hostnameOf(origin) ?? ""))
    return "requests from other sites are refused";
  // A link from elsewhere may lead here; what another site loads or sends on its own may not.
  const byItself = headers.get("Sec-Fetch-Mode") !== "navigate";
  if (headers.get("Sec-Fetch-Site") === "cross-site" && byItself)
    return "requests from other sites are refused";
  return undefined;
}
