/** Health and the portal. */
import { HealthQuery, NewPortalLink, Rebuild } from "../../src/schema.ts";
import type { Operation } from "../operation.ts";

/** Health and the portal. */
export const OTHER: Operation[] = [
  {
    method: "post",
    path: "/portal-link",
    id: "createPortalLink",
    tag: "Endpoints",
    summary: "Get a link into the portal",
    description:
      "A page where the caller's owner manages its endpoints and sees its events. The token in it opens /endpoint and /event, nothing else.",
    body: { schema: NewPortalLink, example: { expires_in_minutes: 60 }, optional: true },
    answers: {
      201: {
        description: "Whoever has it is the owner there, until it expires.",
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
    path: "/health",
    id: "health",
    tag: "Service",
    summary: "Is it well?",
    description:
      "With ?deep: what it depends on, and how much waits, of the caller's own or, for an operator's token, of all owners.",
    caller: "either",
    query: HealthQuery,
    answers: {
      200: {
        description: "Well.",
        schema: ["Health", "Alive"],
        example: { status: "ok" },
      },
      503: {
        description: "Not well, or a setting is missing.",
        schema: ["Health", "Error"],
      },
    },
  },
  {
    method: "post",
    path: "/rebuild",
    id: "rebuild",
    tag: "Service",
    summary: "Make KV and the log the same",
    description:
      "For an operator's token, after a loss of either: `log` puts the last change of each todo of the log into KV, `kv` writes a change for each todo of which KV knows more than the log.",
    body: { schema: Rebuild, example: { from: "log", dry_run: true } },
    answers: {
      200: {
        description: "A page of it: what was compared, what differed.",
        schema: "Rebuilt",
        example: {
          data: [{ owner: "alice", todo_id: 1, log: 12, kv: null }],
          checked: 100,
        },
      },
    },
  },
];
