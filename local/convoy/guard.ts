// Who may access a local Convoy over HTTP: programs and its own page on this machine, under a local host name.
import { isLoopback } from "../../src/loopback.ts";

/**
 * Why a request is refused; undefined if it is not. A foreign Host means DNS rebinding. An Origin other than the Host,
 * port included, means another page, possibly of another program on this machine; programs send no Origin. Webhooks may
 * be addressed to it, and must not reset it.
 */
export function refusalOf(headers: Headers): string | undefined {
  const asked = URL.parse(`http://${headers.get("Host") ?? ""}`);
  if (asked === null || !isLoopback(asked.hostname))
    return "this Host is not served here; use 127.0.0.1 or localhost";
  const origin = headers.get("Origin");
  if (origin !== null && URL.parse(origin)?.origin !== asked.origin)
    return "requests from other sites are refused";
  // Another site may link here, but not load or send anything on its own.
  const site = headers.get("Sec-Fetch-Site") ?? "none";
  const isOwn = site === "same-origin" || site === "none";
  if (!isOwn && headers.get("Sec-Fetch-Mode") !== "navigate")
    return "requests from other sites are refused";
  if (headers.has("X-Convoy-Signature"))
    return "this is the local Convoy itself; it takes no webhooks";
  return undefined;
}
