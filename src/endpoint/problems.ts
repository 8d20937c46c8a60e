/** Errors of /endpoint: what a caller is told. */
import { type Failure, isOutage, mendableReason, shownReason } from "../convoy/client.ts";
import { type Problem, problem, unavailable } from "../errors.ts";
import { type Bindings, settingsOf } from "../settings.ts";
import { ownProblem, privateProblem } from "./url.ts";

export const notFound = () => problem(404, "Endpoint not found");

/** The endpoint is being worked on, for longer than a caller should wait. */
export const busy = () => problem(409, "The endpoint is being changed. Try again shortly.");

/** Convoy does not have the endpoint. */
export const gone = () =>
  problem(
    409,
    "Convoy does not have this endpoint any more (it is missing). Remove it here too, or try again once Convoy has it.",
  );

/** The owner has as many endpoints as it may have. */
export const full = (max: number) =>
  problem(
    409,
    `You have ${max} endpoints already, the most that an owner may have. Remove one first.`,
  );

/** A change would lose credentials. */
export const masked = () =>
  problem(
    409,
    "The endpoint has credentials that were set in Convoy's dashboard and that Convoy does not show: this change would lose them. Make it there, or set `headers`.",
  );

function badField(path: string, message: string): Problem {
  return problem(400, `Bad body. ${path}: ${message}`, { details: [{ path, message }] });
}

/** 400 for a URL that leads to this Worker, or to a private address if the settings allow none. */
export function refuseUrl(
  { env, req }: { env: Bindings; req: { url: string } },
  url: string,
): void {
  const { privateAddresses } = settingsOf(env);
  const message = ownProblem(url, req.url) ?? (privateAddresses ? undefined : privateProblem(url));
  if (message) throw badField("url", message);
}

/** 400 for event types that no noun of this service declares. */
export function refuseTypes(
  known: string[],
  given: string[] | null | undefined,
  path = "event_types",
): void {
  const unknown = given?.find((type) => !known.includes(type));
  if (unknown === undefined) return;
  throw badField(path, `${JSON.stringify(unknown)} is none of ${known.join(", ")}`);
}

/** The error of a failed call: 400 if the caller can fix it, 503 if waiting helps, 502 if only the operator can. */
export function refusal(failure: Failure): Problem {
  const reason = mendableReason(failure);
  if (reason) return problem(400, `Convoy refused the endpoint: ${reason}.`);
  const shown = shownReason(failure);
  if (isOutage(failure)) {
    const retryS = Math.ceil((failure.retryAfterMs ?? 5_000) / 1_000);
    return unavailable(`${shown}. Try again.`, { "Retry-After": String(retryS) });
  }
  const hint = failure.status === 401 || failure.status === 403 ? ": check CONVOY_API_KEY" : "";
  return problem(502, `${shown}${hint}. The operator of this API has to look at it.`);
}
