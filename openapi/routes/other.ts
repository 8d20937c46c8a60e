/** Health and the portal. */
import { HealthQuery } from "../../src/health.ts";
import type { Registry } from "../../src/outbox/outbox.ts";
import { Rebuild } from "../../src/outbox/schema.ts";
import { NewPortalLink } from "../../src/portal-link.ts";
import { exampleEvent } from "../examples.ts";
import type { Operation } from "../operation.ts";

/** Health and the portal. */
export const OTHER: Operation[] = [
  {
    method: "post",
    path: "/portal-link",
    id: "createPortalLink",
    tag: "Endpoints",
    summary: "Get a link to the portal",
    description:
      "A page on which the owner manages its endpoints and sees its events. The link's token opens only /endpoint, /event and /delivery.",
    body: { schema: NewPortalLink, example: { expires_in_minutes: 60 }, optional: true },
    answers: {
      201: {
        description: "Anyone who has it acts as the owner there until it expires.",
        schema: "PortalLink",
        example: {
          url: "https://todo.example.com/portal/#token=TOKEN",
          expires_at: "2026-11-24T13:00:00.000Z",
        },
      },
    },
    errors: [404],
  },
  {
    method: "get",
    path: "/",
    id: "root",
    tag: "Service",
    summary: "Find the documentation",
    caller: "anyone",
    answers: {
      200: {
        description: "Paths of this service.",
        schema: "Signpost",
        example: {
          docs: "/docs",
          openapi: "/openapi.json",
          portal: "/portal/",
          health: "/health",
        },
      },
    },
  },
  {
    method: "get",
    path: "/health",
    id: "health",
    tag: "Service",
    summary: "Check the health",
    description:
      "With ?deep: the state of its dependencies, and how much is waiting: for the caller or, with an operator's token, for all owners.",
    caller: "either",
    query: HealthQuery,
    answers: {
      200: {
        description: "Healthy.",
        schema: ["Health", "Alive"],
        example: { status: "ok" },
      },
      503: {
        description: "Not healthy, or a setting is missing.",
        schema: ["Health", "Error"],
      },
    },
  },
];

/** POST /rebuild. */
export function rebuildOperation(nouns: Registry): Operation {
  const { resource, resource_id } = exampleEvent(nouns);
  return {
    method: "post",
    path: "/rebuild",
    id: "rebuild",
    tag: "Service",
    summary: "Make KV and the log agree",
    description:
      "For an operator's token, after a loss of either: `log` puts each resource's last change from the log into KV, `kv` writes a change to the log for each that is newer in KV.",
    body: { schema: Rebuild, example: { from: "log", dry_run: true } },
    answers: {
      200: {
        description: "A page: what was compared and what differed.",
        schema: "Rebuilt",
        example: {
          data: [{ owner: "alice", resource, resource_id, log: 12, kv: null }],
          checked: 100,
        },
      },
    },
  };
}
