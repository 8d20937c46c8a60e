/** `npm run smoke` against both versions of Convoy: it checks what this API needs from a Convoy. */
import { expect, test } from "vitest";
import type { ConvoyVersion } from "../../local/convoy/index.ts";
import { serveConvoy } from "../../local/convoy/server.ts";
import { startReceiver } from "../../scripts/smoke/receiver.ts";
import { smoke } from "../../scripts/smoke/run.ts";

test.concurrent.each<[ConvoyVersion, atOnce: boolean]>([
  ["26.6", false],
  ["26.7", true],
])(
  "it passes with Convoy %s, and leaves no endpoint or subscription behind",
  async (version, pausedAtOnce) => {
    const { url, close } = await serveConvoy({ port: 0, version });
    const receiver = await startReceiver(0, false);
    const said: string[] = [];
    try {
      const result = await smoke({
        convoy: {
          CONVOY_BASE_URL: `${url}/api`,
          CONVOY_API_KEY: "local",
          CONVOY_PROJECT_ID: "local",
        },
        receiver,
        receiverUrl: `http://127.0.0.1:${receiver.port}/hook`,
        fanOut: true,
        patienceMs: 30_000,
        auditDelayS: 0,
        say: (line) => void said.push(line),
      });
      expect(result, said.join("\n")).toEqual({ pausedAtOnce });
      const events = receiver.arrivals.map(({ event }) => event);
      expect(events).toEqual([
        ...["created", "ping", "updated", "retrieved", "failure", "created", "deleted"],
        ...["updated", "created"],
      ]);
      expect(receiver.arrivals.every(({ signed }) => signed)).toBe(true);
      const [first, last] = [receiver.arrivals[0], receiver.arrivals.at(-1)];
      expect(last?.eventId).toBe(first?.eventId);
      expect(last?.key).not.toBe(first?.key);
      for (const what of ["endpoints", "subscriptions"]) {
        const headers = { Authorization: "Bearer local" };
        const listed = await fetch(`${url}/api/v1/projects/local/${what}`, { headers });
        expect((await listed.json()) as object).toMatchObject({ data: { content: [] } });
      }
    } finally {
      await Promise.all([receiver.close(), close()]);
    }
  },
);
