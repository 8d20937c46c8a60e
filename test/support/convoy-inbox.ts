/** A local Convoy over HTTP and its inbox, for the whole-system tests. */

import type { Faults } from "../../local/convoy/faults.ts";
import type { InboxDelivery, listEvents } from "../../local/convoy/inbox.ts";
import type { ConvoyOptions } from "../../local/convoy/index.ts";
import { serveConvoy } from "../../local/convoy/server.ts";

/** What the API accepted, as the inbox lists it. */
export type InboxEvent = ReturnType<typeof listEvents>[number];

/** A served local Convoy. */
export type ServedInbox = {
  /** Base of its API, for CONVOY_BASE_URL. */
  apiUrl: string;
  /** Resolves when nothing is being processed or delivered. */
  idle(): Promise<void>;
  /** Everything accepted with 201, newest first, duplicates and swallowed events included. */
  events(): Promise<InboxEvent[]>;
  deliveries(): Promise<InboxDelivery[]>;
  setFaults(faults: Faults): Promise<void>;
  /** Forgets endpoints, events, deliveries and faults. */
  clear(): Promise<void>;
  close(): Promise<void>;
};

/** Enough for every test here. */
const LIMIT = 5_000;

/** Starts a local Convoy on a free port, with its state in memory. */
export async function startConvoy(options: ConvoyOptions = {}): Promise<ServedInbox> {
  const { url, convoy, close } = await serveConvoy({ ...options, port: 0 });
  const list = async <T>(what: string): Promise<T[]> => {
    const response = await fetch(`${url}/inbox/${what}?limit=${LIMIT}`);
    if (!response.ok)
      throw new Error(`/inbox/${what}: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { data: T[] }).data;
  };
  return {
    apiUrl: `${url}/api`,
    idle: () => convoy.idle(),
    events: () => list<InboxEvent>("events"),
    deliveries: () => list<InboxDelivery>("deliveries"),
    async setFaults(faults) {
      const response = await fetch(`${url}/inbox/faults`, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(faults),
      });
      if (!response.ok) throw new Error(`faults: ${response.status} ${await response.text()}`);
      await response.body?.cancel();
    },
    async clear() {
      await fetch(`${url}/inbox/reset`, { method: "POST" });
    },
    close,
  };
}

/** The settings that let a Worker use a local Convoy. */
export function localSettings(apiUrl: string): Record<string, string> {
  return {
    AUTH: "open",
    CONVOY_BASE_URL: apiUrl,
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
  };
}
