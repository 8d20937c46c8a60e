/** Health and the portal. */
import { HealthQuery, NewPortalLink } from "../../src/schema.ts";
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
];
