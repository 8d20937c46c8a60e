/** Where a webhook may go. */

const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
// The last label starts with a letter: "1.2.3" and "host.123" are broken IPv4 addresses to a URL parser.
const NAME = `(?:${LABEL}\\.)*[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\\.?`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `(?:${BYTE}\\.){3}${BYTE}`;
const GROUP = "[0-9A-Fa-f]{1,4}";
const IPV6 = `\\[(?:(?:${GROUP}:){7}${GROUP}|(?:${GROUP}(?::${GROUP}){0,2})?::(?:${GROUP}(?::${GROUP}){0,3})?)\\]`;
const PORT = "(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])";

// RFC 3986 and "[]|"; braces are templates to Convoy, which refuses them, as it does a broken escape.
const REST = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?|\\[\\]-]|%[0-9A-Fa-f]{2})";

/**
 * An http or https URL with a host: no credentials (they would be stored and shown), no fragment
 * (it never leaves a client). A pattern, so that the API document can carry it.
 */
export const WEBHOOK_URL = new RegExp(
  `^[Hh][Tt][Tt][Pp][Ss]?://(?:${NAME}|${IPV4}|${IPV6})(?::${PORT})?(?:[/?]${REST}*)?$`,
);
