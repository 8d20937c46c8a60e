/** The headers of answers, by name. */

const text = (description: string, required: boolean, more: object = {}) => ({
  description,
  ...(required ? { required } : {}),
  schema: { type: "string", ...more },
});

/** Entries of `components.headers`. */
export const HEADERS = {
  "X-Request-Id": text("The caller's own X-Request-Id, or a new one.", true),
  "X-Event-Id": text("The event that was published.", false, { format: "uuid" }),
  Location: text("The path of what was created.", true),
  "Retry-After": text("Seconds to wait.", true, { pattern: "^\\d+$" }),
  "WWW-Authenticate": text("What is wrong with the token (RFC 6750).", true, {
    pattern: "^Bearer",
  }),
};

/** A header of `components.headers`. */
export type HeaderName = keyof typeof HEADERS;
