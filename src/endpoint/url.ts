/** Where a webhook may go, and what is wrong with a URL that it may not go to. */
import * as z from "zod/mini";
import { isLoopback } from "../loopback.ts";
import { privateReason } from "./private-host.ts";

/** Characters of a URL: what browsers and proxies agree on. */
const URL_MAX_CHARS = 2_048;

const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
// The last label starts with a letter: "1.2.3" and "host.123" are broken IPv4 addresses to a URL
// parser.
const NAME = `(?:${LABEL}\\.)*[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\\.?`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `(?:${BYTE}\\.){3}${BYTE}`;
const IPV6 = "\\[[0-9A-Fa-f:.]{2,45}\\]";
// RFC 3986 and "[]|"; braces are templates to Convoy, which refuses them, as it does a broken escape.
const REST = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?|\\[\\]-]|%[0-9A-Fa-f]{2})";

/**
 * The form of an http or https URL with a host: no credentials (they would be stored and shown), no
 * fragment (it never leaves a client), nothing that a URL parser would read as something else. A
 * pattern, so that the API document can include it.
 */
export const WEBHOOK_URL = new RegExp(
  `^[Hh][Tt][Tt][Pp][Ss]?://(?:${NAME}|${IPV4}|${IPV6})(?::[1-9]\\d{0,4})?(?:[/?]${REST}*)?$`,
);

/** Whether this is a URL that a webhook can be sent to. */
export function isWebhookUrl(text: string): boolean {
  return WEBHOOK_URL.test(text) && URL.canParse(text);
}

// The first that fits is what the caller is told.
const PROBLEMS: readonly [found: RegExp, message: string][] = [
  [/^$/, "must not be empty"],
  [/^\s|\s$/, "must not begin or end with white space"],
  [/[{}]/, "must not contain { or }: Convoy takes them for a template"],
  [
    /[^!-~]/,
    "must be ASCII without spaces: percent-encode the path, and write the host in punycode (xn--…)",
  ],
  [/^https?:(?!\/\/)/i, "must have two slashes after http: or https:"],
  [/^(?!https?:\/\/)/i, "must begin with https:// or http://"],
  [/^https?:\/\/[^/?#]*@/i, "must not contain credentials: they would be stored and shown"],
  [/#/, "must not contain a fragment (#…): it would never be sent"],
  [/[\\"<>^`]/, 'must percent-encode \\ " < > ^ and `'],
  [/^https?:\/\/[^/?[]*:[^/?[]*:/i, "must have an IPv6 address in brackets: [2001:db8::1]"],
  [/^https?:\/\/(:|[/?]|$)/i, "must have a host"],
  [/^https?:\/\/[^/?]*%/i, "must not have a % in its host"],
  [/%(?![\dA-F]{2})/i, "must have two hexadecimal digits after each %"],
  [/^https?:\/\/\[[^/?]*\]?/i, "must have an IPv6 address, and only that, in its brackets"],
  [/^https?:\/\/[^/?]*:(?![1-9]\d{0,4}([/?]|$))/i, "must have a port from 1 to 65535, or none"],
  [
    /^https?:\/\/([\d.]+|([^/?]*\.)?(\d+|0x[\da-f]*)\.?)(:\d+)?([/?]|$)/i,
    "must have an IPv4 address as four numbers from 0 to 255, without leading zeros",
  ],
];

/** What is wrong with this URL, to follow its name; undefined if nothing is. Shows nothing of it. */
export function urlProblem(text: string): string | undefined {
  if (isWebhookUrl(text)) return undefined;
  const port = /^https?:\/\/(?:[^/?:[]+|\[[^/?\]]*\]):(\d+)(?:[/?]|$)/i.exec(text)?.[1];
  if (port !== undefined && Number(port) > 65_535 && WEBHOOK_URL.test(text)) {
    return "must have a port from 1 to 65535, or none";
  }
  return (
    PROBLEMS.find(([found]) => found.test(text))?.[1] ??
    "must have a host name whose parts are 1 to 63 letters, digits, hyphens and underscores"
  );
}

/** A URL that a webhook can be sent to, in a body. */
export const WebhookUrl = z
  .string()
  .check(
    z.maxLength(URL_MAX_CHARS),
    z.check((context) => {
      if (context.value.length > URL_MAX_CHARS) return;
      const message = urlProblem(context.value);
      if (message) context.issues.push({ code: "custom", message, input: context.value });
    }),
  )
  .register(z.globalRegistry, { pattern: WEBHOOK_URL.source });

/** Why a URL that passes `isWebhookUrl` is visibly not on the public internet, or undefined. */
export function privateProblem(text: string): string | undefined {
  const { hostname } = new URL(text);
  const reason = privateReason(hostname);
  return reason && `must be on the public internet: ${hostname} ${reason}`;
}

/** Whether a URL that passes `isWebhookUrl` is visibly not on the public internet. */
export function isPrivateUrl(text: string): boolean {
  return privateProblem(text) !== undefined;
}

/**
 * Why a URL that passes `isWebhookUrl` cannot be an endpoint of the Worker that was called at
 * `requestUrl`, or undefined: it is the Worker itself, which would be sent its own webhooks.
 */
export function ownProblem(text: string, requestUrl: string): string | undefined {
  const [to, here] = [new URL(text), new URL(requestUrl)];
  return hostOf(to) === hostOf(here) && portOf(to) === portOf(here)
    ? "must be the address of a receiver: this is the API itself"
    : undefined;
}

// All names of this machine lead to the same server.
function hostOf({ hostname }: URL): string {
  const host = hostname.replace(/\.$/, "");
  return isLoopback(host) ? "localhost" : host;
}

// A server has http and https at their default ports.
function portOf({ port }: URL): string {
  return port === "80" || port === "443" ? "" : port;
}
