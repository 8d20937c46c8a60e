/** The headers of answers, by name. */

/** Entries of `components.headers`. */
export const HEADERS = {
  "X-Request-Id": {
    description: "The caller's own X-Request-Id, or a new one.",
    required: true,
    schema: { type: "string" },
  },
  "X-Event-Id": {
    description: "The event that was published.",
    schema: { type: "string", format: "uuid" },
  },
  Location: {
    description: "The path of what was created.",
    required: true,
    schema: { type: "string" },
  },
  "Retry-After": {
    description: "Seconds to wait.",
    required: true,
    schema: { type: "string", pattern: "^\\d+$" },
  },
  "WWW-Authenticate": {
    description: "What is wrong with the token (RFC 6750).",
    required: true,
    schema: { type: "string", pattern: "^Bearer" },
  },
} as const;

/** A header of `components.headers`. */
export type HeaderName = keyof typeof HEADERS;
