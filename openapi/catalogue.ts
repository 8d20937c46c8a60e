/** Registers the event types with Convoy; safe to repeat. */
import { isDeepStrictEqual } from "node:util";
import { type Convoy, call } from "../src/convoy/client.ts";
import type { CatalogueEntry } from "./webhooks.ts";

/** An event type as Convoy returns it. `category`, `description` and `json_schema` may be empty. */
export type ConvoyEventType = {
  uid: string;
  name: string;
  category: string;
  description: string;
  json_schema: object | null;
};

/** What was done with each event type. */
export type Registered = { name: string; done: "created" | "updated" | "unchanged" };

/**
 * Creates what is missing, updates what differs, leaves the rest alone.
 * @throws Error with Convoy's status and message if it refuses
 */
export async function registerEventTypes(convoy: Convoy, catalogue: CatalogueEntry[]) {
  const demand = async <T>(what: string, path: string, options?: Parameters<typeof call>[2]) => {
    const answer = await call<T>(convoy, `/event-types${path}`, options);
    if (answer.ok) return answer.data;
    const { status, message } = answer;
    throw new Error(
      status === null
        ? `Convoy does not answer (${what}: ${message}). Is it running?`
        : `Convoy refused to ${what}: ${status} ${message}`,
    );
  };
  // All of the project, in one answer; every project has "*" (recorded).
  const listed = await demand<ConvoyEventType[] | null>("list event types", "");
  const registered: Registered[] = [];
  for (const { name, category, description, schema } of catalogue) {
    const fields = { category, description, json_schema: schema };
    const known = listed?.find((type) => type.name === name);
    const same = known && isDeepStrictEqual(known, { ...known, ...fields });
    if (!known) {
      await demand(`create ${name}`, "", { method: "POST", body: { name, ...fields } });
    } else if (!same) {
      const path = `/${encodeURIComponent(known.uid)}`;
      await demand(`update ${name}`, path, { method: "PUT", body: fields });
    }
    registered.push({ name, done: !known ? "created" : same ? "unchanged" : "updated" });
  }
  return registered;
}
