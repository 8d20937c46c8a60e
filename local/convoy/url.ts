// The one check of an endpoint's URL.
import { Refusal } from "./envelope.ts";

/** The URL as given; 400 if it has no host (recorded) or is not HTTP (from Convoy's source). */
export function checkUrl(value: string): string {
  const url = URL.parse(value);
  if (!url || url.host === "") throw new Refusal(400, "endpoint url must include a valid host");
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new Refusal(400, "invalid endpoint scheme");
  return value;
}
