/** Clients that change todos at random until their server goes away. */
import type { Call } from "./client.ts";

/** How many ids all clients compete for; anything else they create gets an id from the server. */
const SHARED_IDS = 25;

/** What the answers told the clients. */
export type Told = {
  /** X-Event-Id of each change that was acknowledged with 2xx. */
  acknowledged: string[];
  /** Requests without an answer, or with a 5xx: whether they changed anything is unknown. */
  unknown: number;
};

/**
 * Runs `clients` loops of changes; each ends at its first request without an answer.
 * @returns what they were told, once the last has ended
 */
export async function runLoad(call: Call, clients: number, random: () => number): Promise<Told> {
  const told: Told = { acknowledged: [], unknown: 0 };
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (;;) {
        const answer = await change(call, random).catch(() => undefined);
        if (answer === undefined || answer.status >= 500) told.unknown++;
        if (answer === undefined) return;
        const id = answer.headers.get("x-event-id");
        if (answer.status < 300 && id !== null) told.acknowledged.push(id);
      }
    }),
  );
  return told;
}

function change(call: Call, random: () => number) {
  const kind = random();
  const id = Math.floor(random() * SHARED_IDS);
  const item = `Item ${Math.floor(random() * 1e6)}`;
  if (kind < 0.4) return call("POST", "/todo", { item });
  if (kind < 0.6) return call("POST", "/todo", { id, item });
  if (kind < 0.75) return call("PUT", `/todo/${id}`, { item });
  if (kind < 0.85) return call("PUT", `/todo/${id}`, { completed: random() < 0.5 });
  return call("DELETE", `/todo/${id}`);
}
