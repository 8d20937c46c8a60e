/** Errors: one shape, one entry per status. */
import type { HeaderName } from "./headers.ts";

export type ErrorAnswer = {
  name: string;
  description: string;
  example?: object;
  headers?: HeaderName[];
  /** Headers that not every such answer has. */
  maybe?: HeaderName[];
};

/** What each status means here. Every example is an answer that the API gives; others look alike. */
export const ERRORS: Record<number, ErrorAnswer> = {
  400: {
    name: "BadRequest",
    description: "Does not match this document; `details` name the fields.",
    example: {
      error: "Bad body. item: must be a string",
      details: [{ path: "item", message: "must be a string" }],
    },
  },
  401: {
    name: "Unauthorized",
    description: "No token, or a bad one.",
    headers: ["WWW-Authenticate"],
  },
  403: {
    name: "Forbidden",
    description:
      "A portal token used outside the portal, something that only operators may do or, while AUTH is open, a host or site that is not allowed.",
    example: { error: "A portal link opens /endpoint, /event and /delivery, nothing else." },
  },
  404: {
    name: "NotFound",
    description: "The caller has no such resource.",
    example: { error: "Endpoint not found" },
  },
  409: { name: "Conflict", description: "Its current state does not allow this." },
  413: { name: "TooLarge", description: "The body is larger than 64 KiB." },
  415: {
    name: "NotJson",
    description: "The body is not declared as JSON in UTF-8, or it is compressed.",
  },
  429: {
    name: "TooMany",
    description: "The owner has used up its rate limit.",
    headers: ["Retry-After"],
  },
  500: { name: "Unexpected", description: "An error on our side." },
  502: { name: "BadGateway", description: "Convoy refused; only the operator can fix this." },
  503: {
    name: "Unavailable",
    description: "A dependency or a setting is missing; the error names it.",
    headers: ["Retry-After"],
  },
};

/** The database did not answer to a change; the event's id shows whether it was made. */
export const CHANGE_UNKNOWN: ErrorAnswer = {
  name: "InDoubt",
  description:
    "With X-Event-Id: the change may or may not have been made; GET /event/{id} shows which. With Retry-After: nothing was changed.",
  headers: ["X-Event-Id"],
  maybe: ["Retry-After"],
};
