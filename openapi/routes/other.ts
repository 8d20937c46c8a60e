/** Health, the portal, the rebuild. */
import { HealthQuery } from "../../src/health.ts";
import type { Registry } from "../../src/outbox/outbox.ts";
import { Rebuild } from "../../src/outbox/schema.ts";
import { NewPortalLink } from "../../src/portal-link.ts";
import { exampleEvent } from "../examples.ts";
import { answer, type Operation, routesOf } from "../operation.ts";

const route = routesOf("Service");
const PATHS = { docs: "/docs", openapi: "/openapi.json", portal: "/portal/", health: "/health" };

export function otherOperations(nouns: Registry): Operation[] {
  const { resource, resource_id } = exampleEvent(nouns);
  const differing = { owner: "alice", resource, resource_id, log: 12, kv: null };
  return [
    PORTAL_LINK,
    route("get /", "root", "Find the documentation", {
      caller: "anyone",
      answers: { 200: answer("Paths of this service.", "Signpost", PATHS) },
    }),
    route("get /health", "health", "Check the health", {
      description:
        "With ?deep: the state of its dependencies, and how much is waiting: for the caller or, with an operator's token, for all owners.",
      caller: "either",
      query: HealthQuery,
      answers: {
        200: answer("Healthy.", ["Health", "Alive"], { status: "ok" }),
        503: answer("Not healthy, or a setting is missing.", ["Health", "Error"]),
      },
    }),
    route("post /rebuild", "rebuild", "Make KV and the log agree", {
      description:
        "For an operator's token, after a loss of either: `log` puts each resource's last change from the log into KV, `kv` writes a change to the log for each that is newer in KV.",
      body: { schema: Rebuild, example: { from: "log", dry_run: true } },
      answers: {
        200: answer("A page: what was compared and what differed.", "Rebuilt", {
          data: [differing],
          checked: 100,
        }),
      },
    }),
  ];
}

const PORTAL_LINK = routesOf("Endpoints")(
  "post /portal-link",
  "createPortalLink",
  "Get a link to the portal",
  {
    description:
      "A page on which the owner manages its endpoints and sees its events. The link's token opens only /endpoint, /event and /delivery.",
    body: { schema: NewPortalLink, example: { expires_in_minutes: 60 }, optional: true },
    answers: {
      201: answer("Anyone who has it acts as the owner there until it expires.", "PortalLink", {
        url: "https://todo.example.com/portal/#token=TOKEN",
        expires_at: "2026-11-24T13:00:00.000Z",
      }),
    },
    errors: [404],
  },
);
