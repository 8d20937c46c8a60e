// The page's calls to the Worker's API, with the token from the link.
import { bearer } from "./session.js";

/** Longest wait for an answer: the API gives up on its gateway after 15 s. */
const TIMEOUT_MS = 30_000;

/**
 * An error with the API's own message; `status` is 0 if nothing answered, `body` is the whole answer, `token` what was
 * asked with.
 */
export class ApiError extends Error {
  constructor(status, message, body, token) {
    super(message);
    this.status = status;
    this.token = token;
    this.body = body;
    /** What is wrong with which field. */
    this.details = Array.isArray(body?.details) ? body.details : [];
  }
}

/** Calls the API. Returns the answer's body. Throws ApiError. */
export async function ask(method, path, body) {
  const token = bearer();
  const headers = { Accept: "application/json" };
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, "The server does not answer. This page keeps trying.");
  }
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  const said =
    answer?.error ?? `The server answered ${response.status} without a reason. Try again.`;
  throw new ApiError(response.status, String(said), answer, token);
}

/** A path from its parts, each escaped. */
export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;
